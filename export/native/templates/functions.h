// Functions of floats, of registers and of blocks. NaN passes as IEEE 754 has it.
#pragma once
#include <cmath>

#include "vectors.h"

namespace triggerforge {

template <class F>
struct integers_of {
  using type = Integers;
};
template <>
struct integers_of<float> {
  using type = std::int32_t;
};

template <class To, class From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

template <class F>
inline F rectified_part(F x) {
  return F{} > x ? F{} : x;  // x last: a NaN stays one
}
template <class F>
inline F larger_part(F a, F b) {
  return ((a != a) | (a > b)) ? a : b;
}
template <class F>
inline F smaller_part(F a, F b) {
  return ((a != a) | (a < b)) ? a : b;
}
template <class F>
inline F absolute_part(F x) {
  using I = typename integers_of<F>::type;
  return bits<F>(bits<I>(x) & 0x7fffffff);
}

// 2^n for whole n in [-126, 127].
template <class F, class I>
inline F power_of_two(I n) {
  return bits<F>((n + 127) << 23);
}

// exp(r) - 1 for r in [-log(2) / 2, log(2) / 2].
template <class F>
inline F exponential_near_zero_less_one(F r) {
  F p = F{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * (r * r) + r;
}

// S. Moshier, Cephes 2.8, expf: x = n log 2 + r, and a polynomial for exp(r).
template <class F>
inline F exponential_part(F x) {
  using I = typename integers_of<F>::type;
  const F low = F{} - 104.0f, high = F{} + 89.0f;
  F inside = x < low ? low : x;
  inside = inside > high ? high : inside;
  // adding 1.5 x 2^23 leaves the nearest whole number in the last bits
  const F shifted = inside * 1.44269504f + 12582912.0f;
  const F whole = shifted - 12582912.0f;
  const I n = bits<I>(shifted) - bits<std::int32_t>(12582912.0f);
  const F r = inside - whole * 0.693359375f + whole * 2.12194440e-4f;
  const F p = exponential_near_zero_less_one(r) + 1.0f;
  const I half = n >> 1;  // in two steps: 2^n alone would leave float32's range before the product
  return p * power_of_two<F>(half) * power_of_two<F>(n - half);
}

// S. Moshier, Cephes 2.8, tanhf.
template <class F>
inline F hyperbolic_tangent_part(F x) {
  const F z = x * x;
  F p = F{} - 5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const F near = p * z * x + x;
  const F size = absolute_part(x);
  const F far = 1.0f - 2.0f / (exponential_part(size + size) + 1.0f);
  return size < 0.625f ? near : (x < 0.0f ? -far : far);
}

template <class F>
inline F root_part(F x) {
  if constexpr (requires { x[0]; }) {
    F found;
    for (int lane = 0; lane < lanes; ++lane) found[lane] = __builtin_sqrtf(x[lane]);
    return found;
  } else {
    return __builtin_sqrtf(x);
  }
}

#define TRIGGERFORGE_FUNCTION(name)                                      \
  inline float name(float x) { return name##_part(x); }                  \
  inline Block name(const Block& x) {                                    \
    return Block::each([&](int p) { return name##_part(x.part[p]); });   \
  }
TRIGGERFORGE_FUNCTION(rectified)
TRIGGERFORGE_FUNCTION(absolute)
TRIGGERFORGE_FUNCTION(exponential)
TRIGGERFORGE_FUNCTION(hyperbolic_tangent)
TRIGGERFORGE_FUNCTION(root)
#undef TRIGGERFORGE_FUNCTION

#define TRIGGERFORGE_FUNCTION(name)                                               \
  inline float name(float a, float b) { return name##_part(a, b); }               \
  inline Block name(const Block& a, const Block& b) {                             \
    return Block::each([&](int p) { return name##_part(a.part[p], b.part[p]); }); \
  }
TRIGGERFORGE_FUNCTION(larger)
TRIGGERFORGE_FUNCTION(smaller)
#undef TRIGGERFORGE_FUNCTION

}  // namespace triggerforge
