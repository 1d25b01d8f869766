// A quantised network on the CPU. No allocation, no lock, no state.
#include "network.h"

#include <cstring>
#include <type_traits>

#include "integer_network.h"
#include "turn.h"

namespace {

// in[i], each lane an event: as one_event takes them in.
template <class Lanes>
inline void gather_all(const float* x, typename Lanes::type* in) {
  for (long i = 0; i < inputs; ++i) {
    for (long lane = 0; lane < Lanes::lanes; ++lane) in[i][lane] = at_port<$lane>(x[lane * inputs + i], i);
  }
}

// The same, floats turned over in registers.
template <class Lanes>
inline void gather(const float* x, typename Lanes::type* in) {
  using Floats = typename Vector<float>::type;
  using Integers = typename Vector<std::int32_t>::type;
  constexpr int square = Vector<float>::lanes, parts = Lanes::lanes / square;
  constexpr long whole = inputs / square * square;
  for (long i = 0; i < whole; i += square) {
    Floats rows[parts][square];
    unrolled<parts>([&](auto part) __attribute__((always_inline)) {
      unrolled<square>([&](auto row) __attribute__((always_inline)) {
        std::memcpy(&rows[part][row], x + (part * square + row) * inputs + i, sizeof(Floats));
      });
      turn_over(rows[part]);
    });
    unrolled<square>([&](auto k) __attribute__((always_inline)) {
      Integers taken[parts];
      unrolled<parts>([&](auto part) __attribute__((always_inline)) {
        taken[part] = __builtin_convertvector(inside_port(rows[part][k], i + k), Integers);
      });
      in[i + k] = side_by_side<typename Lanes::type>(taken);
    });
  }
  for (long i = whole; i < inputs; ++i) {
    for (long lane = 0; lane < Lanes::lanes; ++lane) in[i][lane] = at_port<$lane>(x[lane * inputs + i], i);
  }
}

template <class Lanes>
inline void full_register(const float* x, double* y) {
  using V = typename Lanes::type;
  constexpr long lanes = Lanes::lanes;
  V in[inputs];
  if constexpr (std::is_same_v<Port, float> && lanes >= Vector<float>::lanes) {
    gather<Lanes>(x, in);
  } else {
    gather_all<Lanes>(x, in);
  }
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
