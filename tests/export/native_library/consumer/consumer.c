#include <stdio.h>

#include "triggerforge_dense_float.h"
#include "triggerforge_dense_quantized.h"

int main(void) {
  const double raw[TRIGGERFORGE_DENSE_QUANTIZED_INPUTS] = {0};
  float x[TRIGGERFORGE_DENSE_QUANTIZED_INPUTS];
  double y[TRIGGERFORGE_DENSE_QUANTIZED_OUTPUTS];
  float approximate[TRIGGERFORGE_DENSE_FLOAT_OUTPUTS];
  int i;
  triggerforge_dense_quantized_prepare(raw, NULL, x, 1);
  triggerforge_dense_quantized_run(x, y, 1);
  triggerforge_dense_float_run(x, approximate, 1);
  for (i = 0; i < TRIGGERFORGE_DENSE_QUANTIZED_FEATURES; ++i) {
    const struct triggerforge_dense_quantized_feature* f = &triggerforge_dense_quantized_features[i];
    printf("%s %s %s\n", f->name, f->unit, f->format);
  }
  for (i = 0; i < TRIGGERFORGE_DENSE_QUANTIZED_OUTPUTS; ++i) {
    printf("%s %s %a\n", triggerforge_dense_quantized_outputs[i], triggerforge_dense_quantized_output_formats[i], y[i]);
  }
  return 0;
}
