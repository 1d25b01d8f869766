// Dense layers and convolutions: a tile of sums stays in registers while all inputs go by.
#pragma once
#include <algorithm>

#include "functions.h"
#include "layer.h"

namespace triggerforge {

constexpr int chains = 8;  // products under way at once: two units, four cycles each
constexpr int sums = registers - 4;

// One event: registers hold neighbouring outputs. `tile` columns of `wide` registers.
template <Layer L, int tile, int wide>
inline void products_of_tile(const float* x, const float* w, const float* b, float* y) {
  // few sums wait for each other: then neighbouring inputs go into sums of their own
  constexpr int apart = std::max(1L, std::min<long>(chains / (tile * wide), L.ci));
  Register sum[apart][tile][wide];
#pragma GCC unroll 32
  for (int t = 0; t < tile; ++t) {
#pragma GCC unroll 32
    for (int r = 0; r < wide; ++r) {
      sum[0][t][r] = load(b + r * lanes);
#pragma GCC unroll 32
      for (int a = 1; a < apart; ++a) sum[a][t][r] = Register{};
    }
  }
  auto add = [&](int a, long input, long weight) __attribute__((always_inline)) {
#pragma GCC unroll 32
    for (int r = 0; r < wide; ++r) {
      const Register weights = load(w + weight * L.padded + r * lanes);
#pragma GCC unroll 32
      for (int t = 0; t < tile; ++t) sum[a][t][r] += x[input + t * L.x_step] * weights;
    }
  };
  for (long ky = 0; ky < L.ky; ++ky) {
    for (long kx = 0; kx < L.kx; ++kx) {
      const long input = ky * L.y_tap + kx * L.x_tap, weight = (ky * L.kx + kx) * L.ci;
      long c = 0;
      for (; c + apart <= L.ci; c += apart) {
#pragma GCC unroll 32
        for (int a = 0; a < apart; ++a) add(a, input + (c + a) * L.c_tap, weight + c + a);
      }
      for (; c < L.ci; ++c) add(0, input + c * L.c_tap, weight + c);
    }
  }
#pragma GCC unroll 32
  for (int t = 0; t < tile; ++t) {
#pragma GCC unroll 32
    for (int r = 0; r < wide; ++r) {
      Register total = sum[0][t][r];
#pragma GCC unroll 32
      for (int a = 1; a < apart; ++a) total += sum[a][t][r];
      store(y + t * L.padded + r * lanes, L.relu ? rectified_part(total) : total);
    }
  }
}

template <Layer L, int tile, int wide>
inline void products_of_columns(const float* x, const float* w, const float* b, float* y) {
  long column = 0;
  for (; column + tile <= L.ox; column += tile) {
    products_of_tile<L, tile, wide>(x + column * L.x_step, w, b, y + column * L.padded);
  }
  constexpr int rest = L.ox % tile;
  if constexpr (rest) {
    products_of_tile<L, rest, wide>(x + column * L.x_step, w, b, y + column * L.padded);
  }
}

// y (oy, ox, padded) from x, weights (ky, kx, ci, padded) and biases (padded).
template <Layer L>
inline void products(const float* x, const float* w, const float* b, float* y) {
  constexpr int across = (L.co + lanes - 1) / lanes;
  constexpr int wide = std::min(across, L.ox == 1 ? chains : chains / 2);
  constexpr int tile = std::min<long>(L.ox, std::max(1, std::min(4, sums / wide)));
  constexpr int rest = across % wide;
  for (long row = 0; row < L.oy; ++row) {
    const float* from = x + row * L.y_step;
    float* to = y + row * L.ox * L.padded;
    int r = 0;
    for (; r + wide <= across; r += wide) {
      products_of_columns<L, tile, wide>(from, w + r * lanes, b + r * lanes, to + r * lanes);
    }
    if constexpr (rest) {
      products_of_columns<L, tile, rest>(from, w + r * lanes, b + r * lanes, to + r * lanes);
    }
  }
}

// A block of events: each lane is an event, and every weight is for all of them.
template <Layer L, int wide>
inline void products_of_outputs(const Block* x, const float* w, const float* b, Block* y) {
  Register sum[wide][Block::parts];
#pragma GCC unroll 32
  for (int o = 0; o < wide; ++o) {
#pragma GCC unroll 32
    for (int p = 0; p < Block::parts; ++p) sum[o][p] = b[o] - Register{};
  }
  for (long ky = 0; ky < L.ky; ++ky) {
    for (long kx = 0; kx < L.kx; ++kx) {
      for (long c = 0; c < L.ci; ++c) {
        const Block& input = x[ky * L.y_tap + kx * L.x_tap + c * L.c_tap];
        const float* weights = w + ((ky * L.kx + kx) * L.ci + c) * L.padded;
#pragma GCC unroll 32
        for (int o = 0; o < wide; ++o) {
#pragma GCC unroll 32
          for (int p = 0; p < Block::parts; ++p) sum[o][p] += weights[o] * input.part[p];
        }
      }
    }
  }
#pragma GCC unroll 32
  for (int o = 0; o < wide; ++o) {
#pragma GCC unroll 32
    for (int p = 0; p < Block::parts; ++p) {
      y[o].part[p] = L.relu ? rectified_part(sum[o][p]) : sum[o][p];
    }
  }
}

template <Layer L>
inline void products(const Block* x, const float* w, const float* b, Block* y) {
  constexpr int wide = std::min<long>(L.co, (registers - 4) / Block::parts);
  constexpr int rest = L.co % wide;
  for (long row = 0; row < L.oy; ++row) {
    for (long column = 0; column < L.ox; ++column) {
      const Block* from = x + row * L.y_step + column * L.x_step;
      Block* to = y + (row * L.ox + column) * L.padded;
      long o = 0;
      for (; o + wide <= L.co; o += wide) products_of_outputs<L, wide>(from, w + o, b + o, to + o);
      if constexpr (rest) products_of_outputs<L, rest>(from, w + o, b + o, to + o);
    }
  }
}

}  // namespace triggerforge
