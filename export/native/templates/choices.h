// Elements that an event chooses by itself: each lane of a block has its own.
#pragma once
#include <algorithm>
#include <type_traits>

#include "vectors.h"

namespace triggerforge {

// What an index that is a float points at; never outside, whatever it is. Negative ones count from
// the end.
template <long length>
inline long inside(float index) {
  const float counted = index < 0.0f ? index + length : index;
  const float above = counted > 0.0f ? counted : 0.0f;  // a NaN is 0
  return static_cast<long>(above < length - 1 ? above : length - 1);
}

inline float in_lane(const Block& x, int p, int lane) { return x.part[p][lane]; }
inline float in_lane(float x, int, int) { return x; }

// x[index * stride] of `length` elements, in every lane.
template <long length, class X, class Index>
inline auto element(const X* x, long stride, const Index& index) {
  if constexpr (std::is_same_v<Index, float>) {
    return x[inside<length>(index) * stride];
  } else {
    Block found;
    for (int p = 0; p < Block::parts; ++p) {
      for (int lane = 0; lane < lanes; ++lane) {
        const long chosen = inside<length>(index.part[p][lane]);
        found.part[p][lane] = in_lane(x[chosen * stride], p, lane);
      }
    }
    return found;
  }
}

// Whether a comes before b: NaN counts as the largest number, as torch has it.
template <bool largest, class F>
inline auto comes_before(F a, F b) {
  if constexpr (largest) {
    return (a > b) | ((a != a) & (b == b));
  } else {
    return (a < b) | ((b != b) & (a == a));
  }
}

// The first k of n elements in order, by insertion: of equal ones the one with the smaller index.
template <long n, long k, bool largest, class F, class Read, class Write>
inline void first_of_part(Read read, Write write) {
  F values[k], places[k];
  for (long i = 0; i < n; ++i) {
    F value = read(i), place = F{} + static_cast<float>(i);
    decltype(value > value) moved{};  // all behind the new one move up
    for (long j = 0; j < std::min(i, k); ++j) {
      moved |= comes_before<largest>(value, values[j]);
      const F next_value = moved ? values[j] : value, next_place = moved ? places[j] : place;
      values[j] = moved ? value : values[j];
      places[j] = moved ? place : places[j];
      value = next_value;
      place = next_place;
    }
    if (i < k) {
      values[i] = value;
      places[i] = place;
    }
  }
  for (long j = 0; j < k; ++j) write(j, values[j], places[j]);
}

template <long n, long k, bool largest, class V>
inline void first_of(const V* x, long stride, V* values, V* places, long step) {
  if constexpr (std::is_same_v<V, float>) {
    first_of_part<n, k, largest, float>(
        [&](long i) { return x[i * stride]; },
        [&](long j, float value, float place) {
          values[j * step] = value;
          places[j * step] = place;
        });
  } else {
    for (int p = 0; p < V::parts; ++p) {
      first_of_part<n, k, largest, Register>(
          [&](long i) { return x[i * stride].part[p]; },
          [&](long j, Register value, Register place) {
            values[j * step].part[p] = value;
            places[j * step].part[p] = place;
          });
    }
  }
}

}  // namespace triggerforge
