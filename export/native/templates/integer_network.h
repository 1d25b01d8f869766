// A quantised network in integers, made from its fixed-point graph: one event, or one in each lane.
#pragma once
#include "lanes.h"

namespace {

using namespace triggerforge;

constexpr long inputs = $inputs, outputs = $outputs;
using Port = $port;
constexpr Port input_scale[inputs] = {$input_scales};
constexpr Port input_low[inputs] = {$input_lows};
constexpr Port input_high[inputs] = {$input_highs};
constexpr double output_scale[outputs] = {$output_scales};
$tables

template <class V>
inline void network(const V* in, V* out) {
$statements
}

// The integer of one input. What is off the port's range, or no number, ends inside it: no table is
// ever read outside, and nothing is undefined.
template <class X>
inline X inside_port(X x, long i) {
  const X scaled = x * input_scale[i], low = X{} + input_low[i], high = X{} + input_high[i];
  const X above = scaled > low ? scaled : low;
  return above < high ? above : high;
}

template <class Integer>
inline Integer at_port(float x, long i) {
  return static_cast<Integer>(inside_port<Port>(x, i));
}

// Events beyond the last full register, and single ones.
inline void one_event(const float* x, double* y) {
  using Integer = $scalar;
  Integer in[inputs], out[outputs];
  for (long i = 0; i < inputs; ++i) in[i] = at_port<Integer>(x[i], i);
  network(in, out);
  for (long o = 0; o < outputs; ++o) y[o] = static_cast<double>(out[o]) * output_scale[o];
}

}  // namespace
