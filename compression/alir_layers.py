"""Where alkaid's own trace (0.8.2) does not fit, ours; import to register.

alkaid keeps a batch axis of one, but its own reshape drops it, and a later layer that counts axes
from the front then sees one too few.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import keras

# isort: split
# after the backend is chosen: alkaid imports keras
from alkaid.converter.builtin.keras.layers._base import ReplayOperationBase
from alkaid.trace import fixed_variable, fixed_variable_array
from alkaid.trace.passes import canon
from alkaid.types import CombLogic


class _BatchedReshape(ReplayOperationBase):  # type: ignore[misc]
    handles = (keras.layers.Reshape, keras.layers.Flatten)

    def call(self, inputs: Any) -> Any:
        target = getattr(self.op, "target_shape", (-1,))
        return inputs.reshape((inputs.shape[0], *target))


_solve = fixed_variable_array.cmvm


def _product(matrix: NDArray[Any], row: Any, options: Any) -> NDArray[Any]:
    """`row @ matrix`; alkaid 0.8.2 fails where that is constant though the row is not.

    So it is in images: a window over pixels that no training event has lit, or whose weights are
    pruned. And its tables of one-bit elements take them for 0 and +step: a signed bit is 0 or -step.
    """
    used = np.asarray(matrix).any(axis=1)
    low = np.array([float(variable.low) for variable in np.asarray(row)])
    high = np.array([float(variable.high) for variable in np.asarray(row)])
    if (low == high)[used].all():
        constants = np.where(used, low, 0.0) @ np.asarray(matrix, np.float64)
        return np.asarray(constants, dtype=object)
    if any(variable.low < 0 and sum(variable.kif) == 1 for variable in np.asarray(row)):
        options = options | {"binary_lut": False}
    return np.asarray(_solve(matrix, row, options))


fixed_variable_array.cmvm = _product


_quantize = fixed_variable.FVariable.quantize


def _quantized(
    self: Any, k: int, i: int, f: int, overflow_mode: str = "WRAP", round_mode: str = "TRN"
) -> Any:
    """alkaid 0.8.2 wraps an unsigned constant by twice the span of its format."""
    result = _quantize(self, k, i, f, overflow_mode, round_mode)
    if k or overflow_mode.upper() != "WRAP" or result.low != result.high:
        return result
    wrapped = float(result.low) % 2.0**i
    if wrapped == result.low:
        return result
    return fixed_variable.FVariable.from_const(wrapped, hwconf=self.hwconf)


fixed_variable.FVariable.quantize = _quantized


def _as_they_are(graph: CombLogic) -> CombLogic:
    """In the place of a pass of alkaid 0.8.2 that is to simplify wraps to a number's highest bit.

    It drops the shift of a wrap to one bit wherever that bit's value is that of the source's highest
    bit before the shift, and so takes another bit of it.
    """
    return graph


canon.canonicalize_msb_wraps = _as_they_are
