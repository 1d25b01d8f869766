// CUDA's words for g++: a block's threads are threads of this machine, blocks run one after another.
#pragma once
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

struct Dim {
  unsigned x;
};
inline thread_local Dim threadIdx;
inline Dim blockIdx, blockDim;
inline std::barrier<>* block_barrier;

#define __global__
#define __device__
#define __shared__ static
#define __syncthreads() block_barrier->arrive_and_wait()

// Runs `kernel(arguments...)` with CUDA's launch shape.
template <class Kernel, class... Arguments>
void launch(Kernel kernel, unsigned blocks, unsigned threads, Arguments... arguments) {
  std::barrier<> all(threads);
  block_barrier = &all;
  blockDim.x = threads;
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    std::vector<std::jthread> running;
    for (unsigned t = 0; t < threads; ++t) {
      running.emplace_back([=] {
        threadIdx.x = t;
        kernel(arguments...);
      });
    }
  }
}

inline void __threadfence_system() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline unsigned long long now() {
  std::this_thread::yield();  // who asks for the time is waiting
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}
