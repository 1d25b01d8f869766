// What recurrent layers do after their products, for all `size` elements of the state.
#pragma once
#include "special.h"

namespace triggerforge {

// A GRU whose reset gate takes what is left of the product of the state: gates z, r, h.
template <long size, class V>
inline void gru_after_product(const V* x, const V* products, V* state) {
  for (long i = 0; i < size; ++i) {
    const V update = sigmoid(x[i] + products[i]);
    const V reset = sigmoid(x[size + i] + products[size + i]);
    const V next = hyperbolic_tangent(x[2 * size + i] + reset * products[2 * size + i]);
    state[i] = (1.0f - update) * next + update * state[i];
  }
}

// A GRU whose reset gate takes what is left of the state, before its product.
template <long size, class V>
inline void gru_reset(const V* x, const V* products, const V* state, V* left) {
  for (long i = 0; i < size; ++i) left[i] = sigmoid(x[size + i] + products[size + i]) * state[i];
}
template <long size, class V>
inline void gru_before_product(const V* x, const V* products, const V* of_left, V* state) {
  for (long i = 0; i < size; ++i) {
    const V update = sigmoid(x[i] + products[i]);
    const V next = hyperbolic_tangent(x[2 * size + i] + of_left[i]);
    state[i] = (1.0f - update) * next + update * state[i];
  }
}

// An LSTM: gates i, o, f, c.
template <long size, class V>
inline void lstm(const V* x, const V* products, V* state, V* cell) {
  for (long i = 0; i < size; ++i) {
    const V input = sigmoid(x[i] + products[i]);
    const V output = sigmoid(x[size + i] + products[size + i]);
    const V forget = sigmoid(x[2 * size + i] + products[2 * size + i]);
    const V next = hyperbolic_tangent(x[3 * size + i] + products[3 * size + i]);
    cell[i] = forget * cell[i] + input * next;
    state[i] = output * hyperbolic_tangent(cell[i]);
  }
}

}  // namespace triggerforge
