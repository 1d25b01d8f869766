// Calls of a network that follow one another, with no Python between.
#include <chrono>

#include "network.h"

// ns that `calls` calls take, each on the next of `batches` batches of `size` floats in x.
extern "C" __attribute__((visibility("default"))) long long triggerforge_loop(
    const float* x, float* y, long batches, long size, long events, long calls) {
  const auto start = std::chrono::steady_clock::now();
  long batch = 0;
  for (long call = 0; call < calls; ++call) {
    triggerforge_run(x + batch * size, y, events);
    asm volatile("" : : "r"(y) : "memory");  // someone reads y: no call can be left out
    if (++batch == batches) batch = 0;
  }
  const auto end = std::chrono::steady_clock::now();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(end - start).count();
}
