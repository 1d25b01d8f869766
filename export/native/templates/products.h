// Dense layers and convolutions: a tile of sums stays in registers while all inputs go by.
#pragma once
#include <algorithm>

#include "functions.h"
#include "layer.h"
#include "unrolled.h"

namespace triggerforge {

constexpr int sums = registers - 4;  // the others hold weights and inputs
#ifndef TRIGGERFORGE_CHAINS
#define TRIGGERFORGE_CHAINS 8  // two units, four cycles each
#endif
constexpr int chains = TRIGGERFORGE_CHAINS;  // products under way at once

// `whole` cut into parts of at most `most`, as even as they can be: part `i` of how many, and where.
struct Cut {
  int parts, each, longer;
  constexpr Cut(int whole, int most) : parts((whole + most - 1) / most), each(whole / parts), longer(whole % parts) {}
  constexpr int length(int i) const { return each + (i < longer); }
  constexpr int begin(int i) const { return each * i + std::min(i, longer); }
};

// Columns of outputs, and registers of neighbouring outputs in each, that are computed at once.
struct Tile {
  int columns, wide;
};

constexpr int ceiling(int a, int b) { return (a + b - 1) / b; }

// The tile that takes least: a cycle has two products, or two loads of weights and inputs.
constexpr Tile best_tile(int ox, int across, int ci) {
  Tile best{1, 1};
  long least = 0;
  for (int wide = 1; wide <= std::min(across, sums); ++wide) {
    for (int columns = 1; columns * wide <= sums && columns <= ox; ++columns) {
      const int at_once = columns * wide, apart = std::max(1, std::min(chains / at_once, ci));
      const int cycles = std::max({at_once * apart, (columns + wide) * apart, chains});
      const long all = 64L * cycles / apart * ceiling(ox, columns) * ceiling(across, wide);
      if (least == 0 || all <= least) {
        least = all;
        best = {columns, wide};
      }
    }
  }
  return best;
}

// One event: registers hold neighbouring outputs, the last of them `last` of its own.
template <Layer L, int columns, int wide, int last>
inline void products_of_tile(const float* x, const float* w, const float* b, float* y) {
  // few sums wait for each other: then neighbouring inputs go into sums of their own
  constexpr int apart = std::max(1L, std::min<long>(chains / (columns * wide), L.ci));
  // a single column waits for its loads: one brings four neighbouring inputs
  constexpr int quads = ceiling(apart, quad);
  constexpr bool neighbours = columns == 1 && L.c_tap == 1 && quads * quad <= L.ci;
  constexpr long at_once = neighbours ? quads * quad : apart, whole = L.ci / at_once * at_once;
  Register sum[apart][columns][wide];
  unrolled<columns>([&](auto t) __attribute__((always_inline)) {
    unrolled<wide>([&](auto r) __attribute__((always_inline)) {
      sum[0][t][r] = load(b + r * lanes);
      for (int a = 1; a < apart; ++a) sum[a][t][r] = Register{};
    });
  });
  auto add = [&](auto a, long weight, auto input) __attribute__((always_inline)) {
    unrolled<wide>([&](auto r) __attribute__((always_inline)) {
      const Register weights = load(w + weight * L.padded + r * lanes);
      unrolled<columns>([&](auto t) __attribute__((always_inline)) { sum[a][t][r] += input(t) * weights; });
    });
  };
  for (long ky = 0; ky < L.ky; ++ky) {
    for (long kx = 0; kx < L.kx; ++kx) {
      const float* from = x + ky * L.y_tap + kx * L.x_tap;
      const long weight = (ky * L.kx + kx) * L.ci;
#pragma GCC unroll 4
      for (long c = 0; c < whole; c += at_once) {
        Register four[quads];
        if constexpr (neighbours) {
          unrolled<quads>([&](auto q) __attribute__((always_inline)) { four[q] = repeated(from + c + q * quad); });
        }
        unrolled<at_once>([&](auto i) __attribute__((always_inline)) {
          add(std::integral_constant<int, i % apart>{}, weight + c + i, [&](auto t) __attribute__((always_inline)) {
            if constexpr (neighbours) {
              return of_four<i % quad>(four[i / quad]);
            } else {
              return from[t * L.x_step + (c + i) * L.c_tap];
            }
          });
        });
      }
      for (long c = whole; c < L.ci; ++c) {
        add(std::integral_constant<int, 0>{}, weight + c, [&](auto t) __attribute__((always_inline)) {
          return from[t * L.x_step + c * L.c_tap];
        });
      }
    }
  }
  unrolled<columns>([&](auto t) __attribute__((always_inline)) {
    unrolled<wide>([&](auto r) __attribute__((always_inline)) {
      for (int left = apart; left > 1; left = ceiling(left, 2)) {  // in pairs: none waits for all before it
        for (int a = ceiling(left, 2); a < left; ++a) sum[a - ceiling(left, 2)][t][r] += sum[a][t][r];
      }
      Register total = sum[0][t][r];
      if constexpr (L.relu) total = rectified_part(total);
      std::memcpy(y + t * L.x_out + r * lanes, &total, sizeof(float) * (r == wide - 1 ? last : lanes));
    });
  });
}

// y (oy, ox, co) from x, weights (ky, kx, ci, padded) and biases (padded).
template <Layer L>
inline void products(const float* x, const float* w, const float* b, float* y) {
  constexpr int across = ceiling(L.co, lanes);
  constexpr Tile tile = best_tile(L.ox, across, L.ci);
  constexpr Cut columns(L.ox, tile.columns), wide(across, tile.wide);
  for (long row = 0; row < L.oy; ++row) {
    unrolled<wide.parts>([&](auto p) {
      constexpr int r = wide.begin(p) * lanes, last = L.exact && p == wide.parts - 1 ? L.co - (across - 1) * lanes : lanes;
      auto tiles = [&]<int length>(std::integral_constant<int, length>, int first, int end) {
        for (int i = first; i < end; ++i) {
          const long column = columns.begin(i);
          products_of_tile<L, length, wide.length(p), last>(
              x + row * L.y_step + column * L.x_step, w + r, b + r, y + row * L.y_out + column * L.x_out + r);
        }
      };
      if constexpr (columns.longer) tiles(std::integral_constant<int, columns.each + 1>{}, 0, columns.longer);
      tiles(std::integral_constant<int, columns.each>{}, columns.longer, columns.parts);
    });
  }
}

// A block of events: each lane is an event, and every weight is for all of them.
template <Layer L, int wide>
inline void products_of_outputs(const Block* x, const float* w, const float* b, Block* y) {
  constexpr int parts = Block::parts;
  Register sum[wide][parts];
  unrolled<wide>([&](auto o) __attribute__((always_inline)) {
    unrolled<parts>([&](auto p) __attribute__((always_inline)) { sum[o][p] = b[o] - Register{}; });
  });
  for (long ky = 0; ky < L.ky; ++ky) {
    for (long kx = 0; kx < L.kx; ++kx) {
#pragma GCC unroll 4
      for (long c = 0; c < L.ci; ++c) {
        const Block& input = x[ky * L.y_tap + kx * L.x_tap + c * L.c_tap];
        const float* weights = w + ((ky * L.kx + kx) * L.ci + c) * L.padded;
        unrolled<wide>([&](auto o) __attribute__((always_inline)) {
          unrolled<parts>([&](auto p) __attribute__((always_inline)) { sum[o][p] += weights[o] * input.part[p]; });
        });
      }
    }
  }
  unrolled<wide>([&](auto o) __attribute__((always_inline)) {
    unrolled<parts>([&](auto p) __attribute__((always_inline)) {
      y[o].part[p] = L.relu ? rectified_part(sum[o][p]) : sum[o][p];
    });
  });
}

template <Layer L>
inline void products(const Block* x, const float* w, const float* b, Block* y) {
  constexpr Cut cut(L.co, sums / Block::parts);
  for (long row = 0; row < L.oy; ++row) {
    for (long column = 0; column < L.ox; ++column) {
      const Block* from = x + row * L.y_step + column * L.x_step;
      Block* to = y + row * L.y_out + column * L.x_out;
      for (int i = 0; i < cut.longer; ++i) {
        const long o = cut.begin(i);
        products_of_outputs<L, cut.each + 1>(from, w + o, b + o, to + o);
      }
      for (int i = cut.longer; i < cut.parts; ++i) {
        const long o = cut.begin(i);
        products_of_outputs<L, cut.each>(from, w + o, b + o, to + o);
      }
    }
  }
}

}  // namespace triggerforge
