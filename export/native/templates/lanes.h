// Integer arithmetic for one event or for as many as a vector register holds, in the same words.
#pragma once
#include <cstdint>

namespace triggerforge {

#if defined(__AVX512BW__)
constexpr int register_bytes = 64;
#elif defined(__AVX2__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif

template <class Integer>
struct Vector {
  typedef Integer type __attribute__((vector_size(register_bytes), may_alias));
  static constexpr int lanes = register_bytes / sizeof(Integer);
};

template <class V>
constexpr int bits_of = 8 * sizeof(V{}[0]);
template <>
constexpr int bits_of<std::int32_t> = 32;
template <>
constexpr int bits_of<std::int64_t> = 64;

// What a wire of `width` bits carries of v: the bits above are lost, the first is the sign if it is signed.
template <int width, bool is_signed, class V>
inline V wrap(V v) {
  constexpr int unused = bits_of<V> - width;
  if constexpr (unused <= 0) {
    return v;
  } else if constexpr (is_signed) {
    return (v << unused) >> unused;
  } else {
    return v & ((std::int64_t{1} << width) - 1);
  }
}

template <class V>
inline V relu(V v) {
  return v > 0 ? v : V{};
}

template <class Condition, class V>
inline V choose(Condition condition, V yes, V no) {
  return condition ? yes : no;
}

// table[v + first], in every lane.
template <class Entry, class V>
inline V look_up(const Entry* table, V v, int first) {
  if constexpr (requires { v[0]; }) {
    V found;
    for (int lane = 0; lane < static_cast<int>(sizeof(V) / sizeof(v[0])); ++lane) {
      found[lane] = table[v[lane] + first];
    }
    return found;
  } else {
    return table[v + first];
  }
}

}  // namespace triggerforge
