// A quantised network on the CPU. No allocation, no lock, no state.
#include "network.h"

#include "integer_network.h"

namespace {

template <class Lanes>
inline void full_register(const float* x, double* y) {
  using V = typename Lanes::type;
  constexpr long lanes = Lanes::lanes;
  $lane by_event[lanes][inputs];
  for (long lane = 0; lane < lanes; ++lane) {
    for (long i = 0; i < inputs; ++i) by_event[lane][i] = at_port<$lane>(x[lane * inputs + i], i);
  }
  alignas(V) $lane by_input[inputs][lanes];
  for (long i = 0; i < inputs; ++i) {
    for (long lane = 0; lane < lanes; ++lane) by_input[i][lane] = by_event[lane][i];
  }
  V out[outputs];
  network(reinterpret_cast<const V*>(by_input), out);
  for (long o = 0; o < outputs; ++o) {
    for (long lane = 0; lane < lanes; ++lane) {
      y[lane * outputs + o] = static_cast<double>(out[o][lane]) * output_scale[o];
    }
  }
}

}  // namespace

extern "C" void triggerforge_run(const float* x, double* y, long events) {
  using Lanes = Vector<$lane>;
  long event = 0;
  for (; event + Lanes::lanes <= events; event += Lanes::lanes) {
    full_register<Lanes>(x + event * inputs, y + event * outputs);
  }
  for (; event < events; ++event) one_event(x + event * inputs, y + event * outputs);
}
