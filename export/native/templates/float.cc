// A network in float32, made from its ONNX graph. No allocation, no lock, no state.
#include "network.h"

#include "choices.h"
#include "events.h"
#include "products.h"
#include "recurrent.h"

namespace {

using namespace triggerforge;

constexpr long inputs = $inputs, outputs = $outputs;
$constants

template <class V>
inline void network(const V* in, V* out) {
$buffers
$statements
}

#if TRIGGERFORGE_PARTS && $blocks_fit
inline void block_of_events(const float* x, float* y) {
  Block in[inputs], out[outputs];
  gather<inputs>(x, in);
  network(in, out);
  scatter<outputs>(out, y);
}

// Brings a block from memory while another is computed, if it does not push that one out of the cache.
inline void prefetch_block(const float* x) {
  constexpr long floats = inputs * Block::events, line = 64 / sizeof(float), most = 4096;
  if constexpr (floats <= most) {
    for (long i = 0; i < floats; i += line) __builtin_prefetch(x + i);
  }
}
#endif

}  // namespace

extern "C" void triggerforge_run(const float* x, float* y, long events) {
  long event = 0;
#if TRIGGERFORGE_PARTS && $blocks_fit
  for (; event + Block::events <= events; event += Block::events) {
    if (event + 2 * Block::events <= events) prefetch_block(x + (event + Block::events) * inputs);
    block_of_events(x + event * inputs, y + event * outputs);
  }
#endif
  for (; event < events; ++event) network(x + event * inputs, y + event * outputs);
}
