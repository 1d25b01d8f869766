// A float network that stays on the card and waits for events in memory of the host.
#include "cooperative.cuh"
#include "mailbox.h"

#ifdef __CUDACC_RTC__  // NVRTC brings no standard headers
#define INFINITY __builtin_bit_cast(float, 0x7f800000)
#define NAN __builtin_bit_cast(float, 0x7fffffff)

// ns of a clock that all SMs share.
inline unsigned long long now() {
  unsigned long long ns;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns));
  return ns;
}
#endif

namespace {

using namespace triggerforge;
using V = float;

$constants

}  // namespace

// Ends when it is told to, or when no event has come for `idle` ns: a host that died leaves nothing
// running, and who waits for the card waits no longer than that.
extern "C" __global__ void triggerforge_persistent(
    Mailbox* mail, const volatile float* x, volatile float* y, unsigned long long answered,
    unsigned long long idle) {
  __shared__ unsigned asked;
  __shared__ bool ends;
  __shared__ float in[$inputs], out[$outputs];
$buffers
  for (unsigned done = answered;; done = asked) {
    __syncthreads();
    if (threadIdx.x == 0) {
      const unsigned long long begin = now();
      do {
        asked = mail->asked;
        ends = mail->stop || (asked == done && now() - begin > idle);
      } while (asked == done && !ends);
      __threadfence_system();  // x is read after the flag
    }
    __syncthreads();
    if (ends) break;
    for (int i = threadIdx.x; i < $inputs; i += blockDim.x) in[i] = x[i];
    __syncthreads();
$statements
    for (int o = threadIdx.x; o < $outputs; o += blockDim.x) y[o] = out[o];
    __threadfence_system();  // y is there before the flag
    __syncthreads();
    if (threadIdx.x == 0) mail->answered = asked;
  }
  if (threadIdx.x == 0) mail->running = 0;
}
