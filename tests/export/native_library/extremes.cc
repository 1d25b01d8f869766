// Every network of the program on numbers that nobody should give it; the sanitizers watch.
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <type_traits>

#include "networks.h"

namespace {

using Limits = std::numeric_limits<double>;
constexpr double raw_values[] = {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), 1e308, -1e308,
                                 3.5e38, -16777217.0, 2147483648.0, 5e-324, -0.0, 0.5, -3.25, 1.0};
constexpr long counts[] = {-1, 0, 1, 2, 3, 15, 16, 17, 31, 64, 101};

// The end of an array of exactly this size, one element off every wider alignment.
template <class T>
struct Array {
  std::unique_ptr<T[]> memory;
  T* begin;
  explicit Array(long size) : memory(new T[static_cast<std::size_t>(size) + 1]()), begin(memory.get() + 1) {}
};

template <class Result>
int failures(const char* name, void (*run)(const float*, Result*, long),
             long (*prepare)(const double*, const unsigned char*, float*, long), long inputs, long outputs) {
  int failed = 0;
  for (long events : counts) {
    const long rows = events < 0 ? 0 : events;
    Array<double> raw(rows * inputs);
    Array<float> given(rows * inputs), x(rows * inputs);
    for (long i = 0; i < rows * inputs; ++i) {
      raw.begin[i] = raw_values[static_cast<std::size_t>(i * 7 + i / 5) % std::size(raw_values)];
      given.begin[i] = static_cast<float>(raw.begin[i]);
    }
    prepare(raw.begin, nullptr, x.begin, events);
    for (const float* in : {given.begin, x.begin}) {
      Array<Result> together(rows * outputs), alone(outputs);
      run(in, together.begin, events);
      for (long event = 0; event < rows; ++event) {
        run(in + event * inputs, alone.begin, 1);
        for (long o = 0; o < outputs && std::is_same_v<Result, double>; ++o) {
          if (!(alone.begin[o] == together.begin[event * outputs + o])) ++failed;
        }
      }
    }
  }
  if (failed) std::printf("%s: %d outputs differ between one event and many\n", name, failed);
  return failed;
}

}  // namespace

int main() { return (ALL_NETWORKS(failures)) == 0 ? 0 : 1; }
