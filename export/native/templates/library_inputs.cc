// What the inputs of `$name` are, and how physical values become them: in integers alone, so that neither the
// caller's rounding mode nor his compiler's floating-point options change a bit.
#include <cstdint>
#include <cstring>

#include "triggerforge_$name.h"

namespace {

enum class Rounding { TRN, RND, RND_CONV };
enum class Overflow { WRAP, SAT, SAT_SYM };

// A number of steps of the LSB with 64 bits after the point.
__extension__ typedef __int128 Steps;
__extension__ typedef unsigned __int128 Bits;

// One feature: its offset and the ends of its range, in steps of 2^-fraction.
struct Port {
  std::int64_t offset;
  std::uint64_t offset_rest;
  int shift, fraction, width;
  Rounding rounding;
  Overflow overflow;
  std::int64_t low, high;
  float padding;
};

constexpr Port ports[] = {
$ports
};

constexpr int mantissa_bits = 52, point = 64, exponent_bias = 1075, infinite = 0x7ff;
constexpr std::uint64_t half = std::uint64_t{1} << 63;

// A float64 taken apart: (-1)^negative * mantissa * 2^(exponent - 1075).
struct Parts {
  std::uint64_t mantissa;
  int exponent;
  bool negative;
};

Parts parts_of(double raw) {
  std::uint64_t bits;
  std::memcpy(&bits, &raw, sizeof bits);
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << mantissa_bits) - 1);
  const int exponent = static_cast<int>((bits >> mantissa_bits) & infinite);
  const bool subnormal = exponent == 0;
  return {subnormal ? fraction : fraction | (std::uint64_t{1} << mantissa_bits), subnormal ? 1 : exponent, bits >> 63 != 0};
}

float not_a_number() {
  const std::uint32_t bits = 0x7fc00000;
  float nan;
  std::memcpy(&nan, &bits, sizeof nan);
  return nan;
}

// steps * 2^-fraction, put together from its bits: steps has at most 24, and is the grid's own number.
float value_of(std::int64_t steps, int fraction) {
  if (steps == 0) return 0.0F;
  const auto size = static_cast<std::uint64_t>(steps < 0 ? -steps : steps);
  const int top = 63 - __builtin_clzll(size);
  const auto mantissa = static_cast<std::uint32_t>(top < 23 ? size << (23 - top) : size >> (top - 23)) & 0x7fffff;
  const auto exponent = static_cast<std::uint32_t>(top - fraction + 127);
  const std::uint32_t bits = (steps < 0 ? 0x80000000U : 0U) | exponent << 23 | mantissa;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

std::int64_t end_of(bool negative, const Port& port) { return negative ? port.low : port.high; }

// Whether bits below the point make the number next above the nearer one; `more`: others are lost below them.
bool goes_up(std::uint64_t rest, bool more, std::int64_t whole, Rounding mode) {
  if (mode == Rounding::TRN) return false;
  if (mode == Rounding::RND) return rest >= half;
  return rest > half || (rest == half && (more || (whole & 1) != 0));
}

// The steps of a finite number. `place`: where its mantissa's last bit lies, counted from that of Steps.
std::int64_t steps_of(const Parts& number, const Port& port) {
  const int place = number.exponent - exponent_bias + port.fraction - port.shift + point;
  const bool wraps = port.overflow == Overflow::WRAP;
  // as large as 2^61 steps: no offset brings it back into the range, which may only be turned round in
  if (!wraps && number.mantissa != 0 && place > 61 + __builtin_clzll(number.mantissa)) {
    return end_of(number.negative, port);
  }
  Bits size = 0;
  bool more = false;
  if (place >= 128) {
    size = 0;  // whole turns
  } else if (place >= 0) {
    size = static_cast<Bits>(number.mantissa) << place;
  } else {
    const int lost = -place;
    size = lost < 64 ? number.mantissa >> lost : 0;
    more = lost < 64 ? (number.mantissa & ((std::uint64_t{1} << lost) - 1)) != 0 : number.mantissa != 0;
  }
  const Bits offset = static_cast<Bits>(static_cast<Steps>(port.offset)) << point | port.offset_rest;
  // the floor: of a negative number with more bits it lies one below
  const Bits below = (number.negative ? Bits{0} - size - (more ? 1U : 0U) : size) - offset;
  const auto whole = static_cast<std::int64_t>(static_cast<std::uint64_t>(below >> point));
  const bool up = goes_up(static_cast<std::uint64_t>(below), more, whole, port.rounding);
  const std::int64_t steps = wraps ? static_cast<std::int64_t>(static_cast<std::uint64_t>(whole) + (up ? 1U : 0U)) : whole + (up ? 1 : 0);
  if (!wraps) return steps < port.low ? port.low : (steps > port.high ? port.high : steps);
  const std::int64_t turn = std::int64_t{1} << port.width;
  const auto above = static_cast<std::int64_t>((static_cast<std::uint64_t>(steps) - static_cast<std::uint64_t>(port.low)) & static_cast<std::uint64_t>(turn - 1));
  return above + port.low;
}

// `without_place`: whether the format has no number for it.
float prepared(double raw, const Port& port, bool* without_place) {
  const Parts number = parts_of(raw);
  if (number.exponent == infinite) {
    const bool nan = number.mantissa != std::uint64_t{1} << mantissa_bits;
    *without_place = nan || port.overflow == Overflow::WRAP;
    return *without_place ? not_a_number() : value_of(end_of(number.negative, port), port.fraction);
  }
  *without_place = false;
  return value_of(steps_of(number, port), port.fraction);
}

}  // namespace

extern "C" {

const struct triggerforge_${name}_feature triggerforge_${name}_features[] = {
$rows
};
const char* const triggerforge_${name}_order = $order;
const char* const triggerforge_${name}_outputs[] = {$names};
const char* const triggerforge_${name}_output_formats[] = {$formats};

long triggerforge_${name}_prepare(const double* raw, const unsigned char* present, float* x, long events) {
  long without_place = 0;
  for (long particle = 0; particle < events * TRIGGERFORGE_${upper}_PARTICLES; ++particle) {
    for (const Port& port : ports) {
      bool lost = false;
      *x = present && !present[particle] ? port.padding : prepared(*raw, port, &lost);
      if (lost) ++without_place;
      ++raw;
      ++x;
    }
  }
  return without_place;
}
}
