// Loops whose turns are known to the compiler, each with its number as a constant.
#pragma once
#include <type_traits>
#include <utility>

namespace triggerforge {

template <int n, class Function>
[[gnu::always_inline]] inline void unrolled(Function function) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (function(std::integral_constant<int, i>{}), ...);
  }(std::make_integer_sequence<int, n>{});
}

}  // namespace triggerforge
