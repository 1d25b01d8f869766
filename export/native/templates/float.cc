// A network in float32, made from its ONNX graph. No allocation, no lock, no state.
#include "network.h"

#include "choices.h"
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

inline void block_of_events(const float* x, float* y) {
  alignas(64) float by_input[inputs][Block::events];
  for (long event = 0; event < Block::events; ++event) {
    for (long i = 0; i < inputs; ++i) by_input[i][event] = x[event * inputs + i];
  }
  Block in[inputs], out[outputs];
  std::memcpy(in, by_input, sizeof in);
  network(in, out);
  for (long o = 0; o < outputs; ++o) {
    for (long event = 0; event < Block::events; ++event) {
      y[event * outputs + o] = out[o].part[event / lanes][event % lanes];
    }
  }
}

}  // namespace

extern "C" void triggerforge_run(const float* x, float* y, long events) {
  long event = 0;
  for (; event + Block::events <= events; event += Block::events) {
    block_of_events(x + event * inputs, y + event * outputs);
  }
  for (; event < events; ++event) network(x + event * inputs, y + event * outputs);
}
