/* The network `$name`: C and C++, no dependencies.
 *
 * Every function is thread-safe: a call keeps nothing, allocates nothing and takes no lock. Its tensors
 * lie on the caller's stack. Arrays lie one event after another and need the alignment of their elements.
 */
#ifndef TRIGGERFORGE_${upper}_H
#define TRIGGERFORGE_${upper}_H

#define TRIGGERFORGE_${upper}_INPUTS $inputs     /* numbers of one event, x; the last of the axes $shape runs over features */
#define TRIGGERFORGE_${upper}_FEATURES $features
#define TRIGGERFORGE_${upper}_PARTICLES $particles  /* how often the features repeat in an event */
#define TRIGGERFORGE_${upper}_OUTPUTS $outputs

#ifdef __cplusplus
extern "C" {
#endif

/* y[events][OUTPUTS] for x[events][INPUTS]. $numbers */
void triggerforge_${name}_run(const float* x, $result* y, long events);

/* x[events][INPUTS] from physical values raw[events][INPUTS]: (raw - offset) * 2^-shift, rounded to the
 * feature's fixed-point format as in exact arithmetic, whatever the rounding mode. The particles whose entry of present[events][PARTICLES] is 0 get the
 * feature's padding; present may be NULL: all are there. Gives back how many values have no place in the
 * format (NaN; infinity where it wraps): they are NaN in x, and their events should be left out. */
long triggerforge_${name}_prepare(const double* raw, const unsigned char* present, float* x, long events);

struct triggerforge_${name}_feature {
  const char* name;
  const char* unit;   /* of raw and offset */
  double offset;
  int shift;          /* x = (raw - offset) * 2^-shift */
  const char* format; /* of x, as ap_fixed<width,integer,rounding,overflow> */
  double padding;     /* x where there is no particle */
};
extern const struct triggerforge_${name}_feature triggerforge_${name}_features[TRIGGERFORGE_${upper}_FEATURES];

extern const char* const triggerforge_${name}_order; /* of the particles */
extern const char* const triggerforge_${name}_outputs[TRIGGERFORGE_${upper}_OUTPUTS];        /* names */
extern const char* const triggerforge_${name}_output_formats[TRIGGERFORGE_${upper}_OUTPUTS]; /* ap_fixed, or float */

#ifdef __cplusplus
}
#endif

#endif
