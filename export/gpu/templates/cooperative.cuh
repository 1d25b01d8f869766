// A float network on one block of threads, its tensors in shared memory: functions and products.
#pragma once
#include "layer.h"

namespace triggerforge {

inline float rectified(float x) { return 0.0f > x ? 0.0f : x; }  // a NaN stays one
inline float larger(float a, float b) { return (a != a) | (a > b) ? a : b; }
inline float smaller(float a, float b) { return (a != a) | (a < b) ? a : b; }
inline float absolute(float x) { return fabsf(x); }
inline float exponential(float x) { return expf(x); }
inline float hyperbolic_tangent(float x) { return tanhf(x); }
inline float root(float x) { return sqrtf(x); }
inline float logarithm(float x) { return logf(x); }
inline float error_function(float x) { return erff(x); }
inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
inline float exponential_less_one(float x) { return expm1f(x); }
inline float greater(float a, float b) { return a > b; }
inline float greater_or_equal(float a, float b) { return a >= b; }
inline float equal(float a, float b) { return a == b; }
inline float unequal(float a, float b) { return a != b; }
inline float chosen(float condition, float yes, float no) { return condition != 0.0f ? yes : no; }

// One output for each thread, in turn; several sums at once hide the time that a product takes.
template <Layer L>
inline void products(const float* x, const float* w, const float* b, float* y) {
  constexpr int chains = 4;
  for (long o = threadIdx.x; o < L.oy * L.ox * L.co; o += blockDim.x) {
    const long place = o / L.co, out = o % L.co;
    const float* from = x + place / L.ox * L.y_step + place % L.ox * L.x_step;
    float sum[chains] = {b[out]};
    for (long tap = 0; tap < L.ky * L.kx; ++tap) {
      const float* inputs = from + tap / L.kx * L.y_tap + tap % L.kx * L.x_tap;
      const float* weights = w + tap * L.ci * L.padded + out;
      for (long c = 0; c < L.ci; ++c) sum[c % chains] += inputs[c * L.c_tap] * weights[c * L.padded];
    }
    const float total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    y[place / L.ox * L.y_out + place % L.ox * L.x_out + out] = L.relu ? rectified(total) : total;
  }
}

}  // namespace triggerforge
