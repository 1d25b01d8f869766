// Functions beside the common ones. NaN passes as IEEE 754 has it.
#pragma once
#include <type_traits>

#include "functions.h"

namespace triggerforge {

template <class F, class Function, class... More>
inline F in_each_lane(Function function, F x, More... more) {
  if constexpr (requires { x[0]; }) {
    F found;
    for (int lane = 0; lane < lanes; ++lane) found[lane] = function(x[lane], more[lane]...);
    return found;
  } else {
    return function(x, more...);
  }
}

template <class I>
inline auto whole_part(I n) {
  if constexpr (requires { n[0]; }) {
    return __builtin_convertvector(n, Register);
  } else {
    return static_cast<float>(n);
  }
}

// S. Moshier, Cephes 2.8, logf: x = 2^n m with m near 1, and a polynomial for log(m).
template <class F>
inline F logarithm_part(F x) {
  using I = typename integers_of<F>::type;
  const auto tiny = x < 1.17549435e-38f;
  const I all = bits<I>(tiny ? x * 8388608.0f : x);
  const F half = bits<F>((all & 0x007fffff) | 0x3f000000);  // in [0.5, 1)
  const auto low = half < 0.707106781f;
  const F power = whole_part((all >> 23) - 126) - (low ? F{} + 1.0f : F{});
  const F n = tiny ? power - 23.0f : power;
  const F m = (low ? half + half : half) - 1.0f;
  F p = F{} + 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const F z = m * m;
  const F near = m + (p * m * z - n * 2.12194440e-4f - z * 0.5f) + n * 0.693359375f;
  const F infinite = F{} + INFINITY;
  const F above = x == infinite ? infinite : near;
  const F found = x == 0.0f ? -infinite : (x < 0.0f ? F{} + NAN : above);
  return x != x ? x : found;
}

// log(1 + x) for x >= 0: the second factor takes back what the sum rounds (W. Kahan).
template <class F>
inline F logarithm_of_one_more_part(F x) {
  const F sum = x + 1.0f;
  return sum == 1.0f ? x : logarithm_part(sum) * (x / (sum - 1.0f));
}

template <class F>
inline F softplus_part(F x) {
  return larger_part(x, F{}) + logarithm_of_one_more_part(exponential_part(-absolute_part(x)));
}

template <class F>
inline F exponential_less_one_part(F x) {
  return absolute_part(x) < 0.34f ? exponential_near_zero_less_one(x) : exponential_part(x) - 1.0f;
}

// N. Juffa, "Accurate single-precision erf", within one unit of the last place.
template <class F>
inline F error_function_part(F x) {
  const F t = absolute_part(x), s = x * x;
  F r = t * -1.72853470e-5f + 3.83197126e-4f;
  const F u = t * -3.88396438e-3f + 2.42546219e-2f;
  r = r * s + u;
  r = r * t - 1.06777877e-1f;
  r = r * t - 6.34846687e-1f;
  r = r * t - 1.28717512e-1f;
  r = r * t - t;
  const F size = 1.0f - exponential_part(r);
  const F far = t > 4.0f ? F{} + 1.0f : size;
  F near = F{} - 5.96761703e-4f;
  near = near * s + 4.99119423e-3f;
  near = near * s - 2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s - 3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = near * x + x;
  const F found = t > 0.927734375f ? (x < 0.0f ? -far : far) : near;
  return x != x ? x : found;
}

template <class F>
inline F sigmoid_part(F x) {
  return 1.0f / (1.0f + exponential_part(-x));
}
template <class F>
inline F sign_part(F x) {  // 0 for a NaN, as torch has it
  const F one = F{} + 1.0f;
  return x > 0.0f ? one : (x < 0.0f ? -one : F{});
}
template <class F>
inline F sine_part(F x) {
  return in_each_lane([](float v) { return __builtin_sinf(v); }, x);
}
template <class F>
inline F cosine_part(F x) {
  return in_each_lane([](float v) { return __builtin_cosf(v); }, x);
}
template <class F>
inline F power_part(F x, F exponent) {
  return in_each_lane([](float a, float b) { return __builtin_powf(a, b); }, x, exponent);
}
template <class F>
inline F floor_part(F x) {
  return in_each_lane([](float v) { return __builtin_floorf(v); }, x);
}
template <class F>
inline F ceiling_part(F x) {
  return in_each_lane([](float v) { return __builtin_ceilf(v); }, x);
}
template <class F>
inline F truncated_part(F x) {
  return in_each_lane([](float v) { return __builtin_truncf(v); }, x);
}
template <class F>
inline F nearest_part(F x) {  // halves to even
  return in_each_lane([](float v) { return __builtin_rintf(v); }, x);
}

template <class F>
inline F floored_remainder_part(F x, F divisor) {  // of the divisor's sign
  return x - floor_part(x / divisor) * divisor;
}
template <class F>
inline F c_remainder_part(F x, F divisor) {
  return in_each_lane([](float a, float b) { return __builtin_fmodf(a, b); }, x, divisor);
}

// Truth values are 0 and 1.
template <class F, class Condition>
inline F truth(Condition condition) {
  return condition ? F{} + 1.0f : F{};
}
template <class F>
inline F greater_part(F a, F b) {
  return truth<F>(a > b);
}
template <class F>
inline F greater_or_equal_part(F a, F b) {
  return truth<F>(a >= b);
}
template <class F>
inline F equal_part(F a, F b) {
  return truth<F>(a == b);
}
template <class F>
inline F unequal_part(F a, F b) {
  return truth<F>(a != b);
}
template <class F>
inline F chosen_part(F condition, F yes, F no) {
  return condition != 0.0f ? yes : no;
}

inline Register part_of(const Block& x, int p) { return x.part[p]; }
inline Register part_of(float x, int) { return x - Register{}; }

#define TRIGGERFORGE_FUNCTION(name)                                                    \
  template <class... X>                                                                \
  inline auto name(const X&... x) {                                                    \
    if constexpr ((std::is_same_v<X, float> && ...)) {                                 \
      return name##_part(x...);                                                        \
    } else { /* weights are single numbers */                                          \
      return Block::each([&](int p) { return name##_part(part_of(x, p)...); });        \
    }                                                                                  \
  }
TRIGGERFORGE_FUNCTION(logarithm)
TRIGGERFORGE_FUNCTION(softplus)
TRIGGERFORGE_FUNCTION(exponential_less_one)
TRIGGERFORGE_FUNCTION(error_function)
TRIGGERFORGE_FUNCTION(sigmoid)
TRIGGERFORGE_FUNCTION(sign)
TRIGGERFORGE_FUNCTION(sine)
TRIGGERFORGE_FUNCTION(cosine)
TRIGGERFORGE_FUNCTION(power)
TRIGGERFORGE_FUNCTION(floor)
TRIGGERFORGE_FUNCTION(ceiling)
TRIGGERFORGE_FUNCTION(truncated)
TRIGGERFORGE_FUNCTION(nearest)
TRIGGERFORGE_FUNCTION(floored_remainder)
TRIGGERFORGE_FUNCTION(c_remainder)
TRIGGERFORGE_FUNCTION(greater)
TRIGGERFORGE_FUNCTION(greater_or_equal)
TRIGGERFORGE_FUNCTION(equal)
TRIGGERFORGE_FUNCTION(unequal)
TRIGGERFORGE_FUNCTION(chosen)
#undef TRIGGERFORGE_FUNCTION

}  // namespace triggerforge
