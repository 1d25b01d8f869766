// Events lie one behind the other in memory; in a block each lane is an event.
#pragma once
#include "unrolled.h"
#include "vectors.h"

namespace triggerforge {

// a[0] b[0] a[1] b[1] | a[4] b[4] …, or from a[2] and b[2] on: within 128 bits, where it costs least.
template <int first, int... lane>
inline Register interleaved(Register a, Register b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane / 4 * 4 + first + lane % 4 / 2 + (lane % 2 ? lanes : 0))...);
}

// The numbers of a, and in their places `distance` further those of b.
template <int distance, int... lane>
inline Register first_of(Register a, Register b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane & distance ? lanes + lane - distance : lane)...);
}

// The other halves.
template <int distance, int... lane>
inline Register second_of(Register a, Register b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane & distance ? lanes + lane : lane + distance)...);
}

constexpr auto all_lanes = std::make_integer_sequence<int, lanes>{};

template <int distance>
inline void exchange(Register (&rows)[lanes]) {
  unrolled<lanes>([&](auto i) __attribute__((always_inline)) {
    if constexpr (!(i & distance)) {
      const Register a = rows[i], b = rows[i + distance];
      rows[i] = first_of<distance>(a, b, all_lanes);
      rows[i + distance] = second_of<distance>(a, b, all_lanes);
    }
  });
}

// Rows become columns.
inline void turn_over(Register (&rows)[lanes]) {
  unrolled<lanes / 2>([&](auto i) __attribute__((always_inline)) {
    const Register a = rows[2 * i], b = rows[2 * i + 1];
    rows[2 * i] = interleaved<0>(a, b, all_lanes);
    rows[2 * i + 1] = interleaved<2>(a, b, all_lanes);
  });
  exchange<2>(rows);
  unrolled<lanes / 4>([&](auto i) __attribute__((always_inline)) { std::swap(rows[4 * i + 1], rows[4 * i + 2]); });
  if constexpr (lanes > 4) exchange<4>(rows);
  if constexpr (lanes > 8) exchange<8>(rows);
}

// in[i], each lane an event, from x (Block::events, inputs).
template <long inputs>
inline void gather(const float* x, Block* in) {
  constexpr long whole = inputs / lanes * lanes;
  for (int part = 0; part < Block::parts; ++part) {
    const float* events = x + part * lanes * inputs;
    for (long i = 0; i < whole; i += lanes) {
      Register rows[lanes];
      unrolled<lanes>([&](auto event) __attribute__((always_inline)) { rows[event] = load(events + event * inputs + i); });
      turn_over(rows);
      unrolled<lanes>([&](auto k) __attribute__((always_inline)) { in[i + k].part[part] = rows[k]; });
    }
    for (long i = whole; i < inputs; ++i) {
      float column[lanes];
      for (int event = 0; event < lanes; ++event) column[event] = events[event * inputs + i];
      in[i].part[part] = load(column);
    }
  }
}

// y (Block::events, outputs) from out[o], each lane an event.
template <long outputs>
inline void scatter(const Block* out, float* y) {
  constexpr long whole = outputs / lanes * lanes;
  for (int part = 0; part < Block::parts; ++part) {
    float* events = y + part * lanes * outputs;
    for (long o = 0; o < whole; o += lanes) {
      Register rows[lanes];
      unrolled<lanes>([&](auto k) __attribute__((always_inline)) { rows[k] = out[o + k].part[part]; });
      turn_over(rows);
      unrolled<lanes>([&](auto event) __attribute__((always_inline)) { store(events + event * outputs + o, rows[event]); });
    }
    for (long o = whole; o < outputs; ++o) {
      for (int event = 0; event < lanes; ++event) events[event * outputs + o] = out[o].part[part][event];
    }
  }
}

}  // namespace triggerforge
