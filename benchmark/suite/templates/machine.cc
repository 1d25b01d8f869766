// What this core can do at most: multiply-adds in registers, and floats from and to memory.
#include <chrono>

#include "vectors.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

using namespace triggerforge;
using Clock = std::chrono::steady_clock;

constexpr int chains = registers - 4;  // more than the units' latency hides behind

long long since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

}  // namespace

// Floating-point operations of one round of `triggerforge_products`: a product and a sum in each lane.
EXPORTED long triggerforge_operations() { return 2L * chains * lanes; }

EXPORTED long triggerforge_register_bits() { return 8L * register_bytes; }

// ns of `rounds` rounds of independent multiply-adds, whose result goes to `out` (a register).
EXPORTED long long triggerforge_products(const float* factors, float* out, long rounds) {
  const Register factor = factors[0] - Register{}, term = factors[1] - Register{};
  Register sum[chains];
  for (int i = 0; i < chains; ++i) sum[i] = static_cast<float>(i) - Register{};
  const auto start = Clock::now();
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int i = 0; i < chains; ++i) sum[i] = sum[i] * factor + term;
  }
  Register total{};
  for (int i = 0; i < chains; ++i) total += sum[i];
  store(out, total);
  return since(start);
}

// ns to read `size` floats, a multiple of 8 registers of them.
EXPORTED long long triggerforge_read(const float* from, float* out, long size) {
  Register sum[8] = {};
  const auto start = Clock::now();
  for (long i = 0; i < size; i += 8 * lanes) {
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) sum[r] += load(from + i + r * lanes);
  }
  Register total{};
  for (int r = 0; r < 8; ++r) total += sum[r];
  store(out, total);
  return since(start);
}

// ns of STREAM's triad: to = first + factor * second, `size` floats each, a multiple of a register.
EXPORTED long long triggerforge_triad(const float* first, const float* second, float* to, float factor,
                                      long size) {
  const auto start = Clock::now();
  for (long i = 0; i < size; i += lanes) {
    store(to + i, load(first + i) + factor * load(second + i));
  }
  return since(start);
}
