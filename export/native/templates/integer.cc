// A quantised network on the CPU. No allocation, no lock, no state.
#include "network.h"

#include <type_traits>

#include "integer_network.h"
#include "turn.h"

namespace {

// in[i] from input `first` on, each lane an event: as one_event takes them in.
template <class Lanes>
inline void gather(const float* x, typename Lanes::type* in, long first) {
  for (long i = first; i < inputs; ++i) {
    for (long lane = 0; lane < Lanes::lanes; ++lane) in[i][lane] = at_port<$lane>(x[lane * inputs + i], i);
  }
}

// The same for squares of inputs and events, turned over in registers; gives back how many inputs.
template <class Lanes>
inline long gather_squares(const float* x, typename Lanes::type* in) {
  using Integers = typename Vector<std::int32_t>::type;
  constexpr int square = Vector<float>::lanes, parts = Lanes::lanes / square;
  constexpr long whole = inputs / square * square;
  for (long i = 0; i < whole; i += square) {
    typename Vector<float>::type columns[parts][square];
    unrolled<parts>([&](auto p) __attribute__((always_inline)) {
      columns_of(x + p * square * inputs + i, inputs, columns[p]);
    });
    unrolled<square>([&](auto k) __attribute__((always_inline)) {
      Integers taken[parts];
      unrolled<parts>([&](auto p) __attribute__((always_inline)) {
        taken[p] = __builtin_convertvector(inside_port(columns[p][k], i + k), Integers);
      });
      in[i + k] = side_by_side<typename Lanes::type>(taken);
    });
  }
  return whole;
}

template <class Lanes>
inline void full_register(const float* x, double* y) {
  using V = typename Lanes::type;
  constexpr long lanes = Lanes::lanes;
  V in[inputs];
  long first = 0;
  if constexpr (std::is_same_v<Port, float> && lanes >= Vector<float>::lanes) first = gather_squares<Lanes>(x, in);
  gather<Lanes>(x, in, first);
  V out[outputs];
  network(in, out);
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
