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
#endif

}  // namespace

extern "C" void triggerforge_run(const float* x, float* y, long events) {
  long event = 0;
#if TRIGGERFORGE_PARTS && $blocks_fit
  for (; event + Block::events <= events; event += Block::events) {
    block_of_events(x + event * inputs, y + event * outputs);
  }
#endif
  for (; event < events; ++event) network(x + event * inputs, y + event * outputs);
}
