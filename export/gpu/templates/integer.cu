// A quantised network on a GPU: one event a thread, the same statements as on the CPU.
#include "integer_network.h"

namespace {

constexpr int block = $block;
constexpr int stride = inputs | 1;  // odd: neighbouring threads read different banks
constexpr bool staged = sizeof(float) * stride * block <= 32768;

}  // namespace

// y[events][outputs] for x[events][inputs], with `block` threads a block.
extern "C" __global__ void triggerforge_events(const float* x, double* y, long events) {
  __shared__ float rows[staged ? block * stride : 1];
  const long first = static_cast<long>(blockIdx.x) * block;
  const long here = events - first < block ? events - first : block;
  const long own = threadIdx.x;
  const float* row = x + (first + own) * inputs;
  if constexpr (staged) {  // neighbouring threads read neighbouring floats
    for (long i = own; i < here * inputs; i += block) {
      rows[i / inputs * stride + i % inputs] = x[first * inputs + i];
    }
    __syncthreads();
    row = rows + own * stride;
  }
  if (own < here) one_event(row, y + (first + own) * outputs);
}
