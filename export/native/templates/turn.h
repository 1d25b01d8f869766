// Squares of floats in registers, turned over: rows become columns.
#pragma once
#include <bit>
#include <cstring>
#include <utility>

#include "unrolled.h"

namespace triggerforge {

// The numbers of a, and in their places `distance` further those of b.
template <int distance, class V, int... lane>
inline V first_of(V a, V b, std::integer_sequence<int, lane...>) {
  constexpr int lanes = sizeof...(lane);
  return __builtin_shufflevector(a, b, (lane & distance ? lanes + lane - distance : lane)...);
}

// The other halves.
template <int distance, class V, int... lane>
inline V second_of(V a, V b, std::integer_sequence<int, lane...>) {
  constexpr int lanes = sizeof...(lane);
  return __builtin_shufflevector(a, b, (lane & distance ? lanes + lane : lane + distance)...);
}

// Blocks of `distance` rows and columns change places with those beside them.
template <int distance, class V, int lanes>
inline void exchange(V (&rows)[lanes]) {
  constexpr auto all_lanes = std::make_integer_sequence<int, lanes>{};
  unrolled<lanes>([&](auto i) __attribute__((always_inline)) {
    if constexpr (!(i & distance)) {
      const V a = rows[i], b = rows[i + distance];
      rows[i] = first_of<distance>(a, b, all_lanes);
      rows[i + distance] = second_of<distance>(a, b, all_lanes);
    }
  });
}

// a[0] b[0] a[1] b[1] | a[4] b[4] …, or from a[2] and b[2] on: within 128 bits, where it costs least.
template <int first, class V, int... lane>
inline V interleaved(V a, V b, std::integer_sequence<int, lane...>) {
  constexpr int lanes = sizeof...(lane);
  return __builtin_shufflevector(a, b, (lane / 4 * 4 + first + lane % 4 / 2 + (lane % 2 ? lanes : 0))...);
}

// Rows of floats become columns.
template <class V, int lanes>
inline void turn_over(V (&rows)[lanes]) {
  constexpr auto all_lanes = std::make_integer_sequence<int, lanes>{};
  unrolled<lanes / 2>([&](auto i) __attribute__((always_inline)) {
    const V a = rows[2 * i], b = rows[2 * i + 1];
    rows[2 * i] = interleaved<0>(a, b, all_lanes);
    rows[2 * i + 1] = interleaved<2>(a, b, all_lanes);
  });
  exchange<2>(rows);
  unrolled<lanes / 4>([&](auto i) __attribute__((always_inline)) { std::swap(rows[4 * i + 1], rows[4 * i + 2]); });
  if constexpr (lanes > 4) exchange<4>(rows);
  if constexpr (lanes > 8) exchange<8>(rows);
}

// As many rows of floats as a register has lanes, `apart` from each other, as columns.
template <class V, int lanes>
inline void columns_of(const float* x, long apart, V (&columns)[lanes]) {
  unrolled<lanes>([&](auto row) __attribute__((always_inline)) { std::memcpy(&columns[row], x + row * apart, sizeof(V)); });
  turn_over(columns);
}

constexpr int low_half = std::endian::native == std::endian::little ? 0 : 1;

// Registers of 32 bits as one register: as they are, or each number in half of its bits.
template <class V, class Integers, int parts>
inline V side_by_side(const Integers (&taken)[parts]) {
  if constexpr (parts == 1) {
    return std::bit_cast<V>(taken[0]);
  } else {
    return [&]<int... lane>(std::integer_sequence<int, lane...>) {
      return __builtin_shufflevector(std::bit_cast<V>(taken[0]), std::bit_cast<V>(taken[1]), (2 * lane + low_half)...);
    }(std::make_integer_sequence<int, sizeof(V) / sizeof(V{}[0])>{});
  }
}

}  // namespace triggerforge
