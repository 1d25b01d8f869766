// Shapes of the design's ports; written by triggerforge.
#pragma once
#include "Vdut.h"
#include <cstddef>

namespace design {
using Top = Vdut;
constexpr size_t in_size = $in_size, in_width = $in_width;
constexpr int in_fraction = $in_fraction;
constexpr size_t out_size = $out_size, out_width = $out_width;
constexpr int out_fraction = $out_fraction;
constexpr bool out_signed = $out_signed;
} // namespace design
