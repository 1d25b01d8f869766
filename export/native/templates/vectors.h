// One float, a hardware register of them, or a block of registers that holds an event in each lane.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

namespace triggerforge {

#if defined(__AVX512F__)
constexpr int register_bytes = 64, registers = 32;
#elif defined(__AVX__)
constexpr int register_bytes = 32, registers = 16;
#elif defined(__aarch64__)
constexpr int register_bytes = 16, registers = 32;
#else
constexpr int register_bytes = 16, registers = 16;
#endif
constexpr int lanes = register_bytes / static_cast<int>(sizeof(float));

typedef float Register __attribute__((vector_size(register_bytes)));
typedef std::int32_t Integers __attribute__((vector_size(register_bytes)));

inline Register load(const float* from) {
  Register loaded;
  std::memcpy(&loaded, from, sizeof loaded);
  return loaded;
}

inline void store(float* to, Register stored) { std::memcpy(to, &stored, sizeof stored); }

constexpr int quad = 4;

typedef float Quad __attribute__((vector_size(sizeof(float) * quad)));

// Four floats in a row, again and again.
inline Register repeated(const float* from) {
#if defined(__AVX__) && !defined(__AVX512F__) && !defined(__clang__)
  return __builtin_ia32_vbroadcastf128_ps256(reinterpret_cast<const Quad*>(from));  // one load, no shuffle
#else
  Quad four;
  std::memcpy(&four, from, sizeof four);
  return [&]<int... lane>(std::integer_sequence<int, lane...>) __attribute__((always_inline)) {
    return __builtin_shufflevector(four, four, (lane % quad)...);
  }(std::make_integer_sequence<int, lanes>{});
#endif
}

// Number `which` of the four, in every lane.
template <int which>
inline Register of_four(Register four) {
  return [&]<int... lane>(std::integer_sequence<int, lane...>) __attribute__((always_inline)) {
    return __builtin_shufflevector(four, four, (lane / quad * quad + which)...);
  }(std::make_integer_sequence<int, lanes>{});
}

#ifndef TRIGGERFORGE_PARTS
#define TRIGGERFORGE_PARTS 2  // registers of a block; 0: events are computed one by one
#endif
// A weight that is read once serves as many registers as a block has.
struct Block {
  static constexpr int parts = TRIGGERFORGE_PARTS ? TRIGGERFORGE_PARTS : 1, events = parts * lanes;
  Register part[parts];

  Block() = default;
  Block(float value) {
    for (Register& each : part) each = value - Register{};
  }
  template <class Function>
  static Block each(Function function) {
    Block made;
    for (int p = 0; p < parts; ++p) made.part[p] = function(p);
    return made;
  }
};

#define TRIGGERFORGE_OPERATOR(op)                                            \
  inline Block operator op(const Block& a, const Block& b) {                \
    return Block::each([&](int p) { return a.part[p] op b.part[p]; });      \
  }
TRIGGERFORGE_OPERATOR(+)
TRIGGERFORGE_OPERATOR(-)
TRIGGERFORGE_OPERATOR(*)
TRIGGERFORGE_OPERATOR(/)
#undef TRIGGERFORGE_OPERATOR

inline Block operator-(const Block& a) {
  return Block::each([&](int p) { return -a.part[p]; });
}

}  // namespace triggerforge
