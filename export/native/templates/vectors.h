// One float, a hardware register of them, or a block of registers that holds an event in each lane.
#pragma once
#include <cstdint>
#include <cstring>

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
