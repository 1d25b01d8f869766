// Events lie one behind the other in memory; in a block each lane is an event.
#pragma once
#include "turn.h"
#include "vectors.h"

namespace triggerforge {

// in[i], each lane an event, from x (Block::events, inputs).
template <long inputs>
inline void gather(const float* x, Block* in) {
  constexpr long whole = inputs / lanes * lanes;
  for (int part = 0; part < Block::parts; ++part) {
    const float* events = x + part * lanes * inputs;
    for (long i = 0; i < whole; i += lanes) {
      Register columns[lanes];
      columns_of(events + i, inputs, columns);
      unrolled<lanes>([&](auto k) __attribute__((always_inline)) { in[i + k].part[part] = columns[k]; });
    }
    for (long i = whole; i < inputs; ++i) {
      float column[lanes];
      for (int event = 0; event < lanes; ++event) column[event] = events[event * inputs + i];
      in[i].part[part] = load(column);
    }
  }
}

// y (Block::events, outputs) from out[o], each lane an event.
template <long outputs>
inline void scatter(const Block* out, float* y) {
  constexpr long whole = outputs / lanes * lanes;
  for (int part = 0; part < Block::parts; ++part) {
    float* events = y + part * lanes * outputs;
    for (long o = 0; o < whole; o += lanes) {
      Register rows[lanes];
      unrolled<lanes>([&](auto k) __attribute__((always_inline)) { rows[k] = out[o + k].part[part]; });
      turn_over(rows);
      unrolled<lanes>([&](auto event) __attribute__((always_inline)) { store(events + event * outputs + o, rows[event]); });
    }
    for (long o = whole; o < outputs; ++o) {
      for (int event = 0; event < lanes; ++event) events[event * outputs + o] = out[o].part[part][event];
    }
  }
}

}  // namespace triggerforge
