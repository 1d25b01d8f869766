// The sizes of a layer of products.
#pragma once

namespace triggerforge {

// What is known of a layer when it is compiled: sizes, and how far apart its numbers lie.
struct Layer {
  long oy, ox, ky, kx, y_step, x_step, y_tap, x_tap, c_tap;
  long ci, co, padded;  // rows of weights are `padded` apart
  int exact;            // nothing may be written behind a row of outputs
  long y_out, x_out;
  int relu;
};

}  // namespace triggerforge
