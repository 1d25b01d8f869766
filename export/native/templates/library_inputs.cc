// What the inputs of `$name` are, and how physical values become them.
#include <cmath>
#include <limits>

#include "triggerforge_$name.h"

namespace {

enum class Rounding { TRN, RND, RND_CONV };
enum class Overflow { WRAP, SAT, SAT_SYM };

// One feature: the range of its integers, in steps of 2^-fraction.
struct Port {
  double offset;
  int shift, fraction;
  Rounding rounding;
  Overflow overflow;
  double low, high;
  float padding;
};

constexpr Port ports[] = {
$ports
};

double rounded(double units, Rounding mode) {
  if (mode == Rounding::RND_CONV) return std::nearbyint(units);
  const double below = std::floor(units);
  return mode == Rounding::RND && units - below >= 0.5 ? below + 1 : below;
}

double inside(double units, const Port& port) {
  if (port.overflow != Overflow::WRAP) {
    return units < port.low ? port.low : (units > port.high ? port.high : units);
  }
  const double span = port.high - port.low + 1;
  const double above = std::fmod(std::fmod(units, span) - port.low, span);
  return (above < 0 ? above + span : above) + port.low;
}

float prepared(double raw, const Port& port) {
  const auto x = static_cast<float>((raw - port.offset) * std::ldexp(1.0, -port.shift));
  if (std::isnan(x) || (std::isinf(x) && port.overflow == Overflow::WRAP)) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  const double units = rounded(std::ldexp(static_cast<double>(x), port.fraction), port.rounding);
  return static_cast<float>(std::ldexp(inside(units, port), -port.fraction));
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
      *x = present && !present[particle] ? port.padding : prepared(*raw, port);
      if (std::isnan(*x)) ++without_place;
      ++raw;
      ++x;
    }
  }
  return without_place;
}
}
