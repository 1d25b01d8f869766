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
from alkaid.trace.passes import canon, cse
from alkaid.types import CombLogic, Op, QInterval

from triggerforge.errors import ModelError


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
    """alkaid 0.8.2 wraps an unsigned constant by twice the span of its format.

    And it rounds to even by bits that it counts from the wrong end, see `_halves_to_even`.
    """
    wraps = overflow_mode.upper() == "WRAP"
    if wraps and round_mode.upper() == "RND_CONV" and k + i + f > 0 and self.kif[2] > f:
        return _halves_to_even(self, int(f)).quantize(k, i, f)
    result = _quantize(self, k, i, f, overflow_mode, round_mode)
    if k or not wraps or result.low != result.high:
        return result
    wrapped = float(result.low) % 2.0**i
    if wrapped == result.low:
        return result
    return fixed_variable.FVariable.from_const(wrapped, hwconf=self.hwconf)


def _halves_to_even(variable: Any, f: int) -> Any:
    """A number whose floor at `f` fractional bits is `variable` rounded there, halves to even.

    alkaid 0.8.2 looks for the dropped bits in x + LSB/2 and for the lowest kept one in its floor,
    but takes both to have the steps of x and of the result; theirs are larger where x is constant,
    where it holds a bias of LSB/2, or where only even results are possible.
    """
    lsb, step = 2.0**-f, float(variable.step)
    lowest_kept = variable.quantize(0, 1 - f, f)
    return variable + (lsb / 2 - step) + lowest_kept * (step / lsb)


fixed_variable.FVariable.quantize = _quantized


_max_of = fixed_variable.FVariable.max_of
_min_of = fixed_variable.FVariable.min_of


def _larger(self: Any, other: Any) -> Any:
    """alkaid 0.8.2 chooses by the highest bit of a difference, which is its sign only if it has one.

    Two numbers made of the same inputs can overlap though one is always the larger.
    """
    return _never_less(self, other, self, other) or _max_of(self, other)


def _smaller(self: Any, other: Any) -> Any:
    """See `_larger`."""
    return _never_less(self, other, other, self) or _min_of(self, other)


def _never_less(one: Any, other: Any, if_one: Any, if_other: Any) -> Any:
    """`if_one` where `one` is at least `other` for all inputs, `if_other` the other way; else None."""
    if not isinstance(other, fixed_variable.FVariable):
        return None
    difference = one - other
    if difference.low >= 0:
        return if_one
    return if_other if difference.high <= 0 else None


fixed_variable.FVariable.max_of = _larger
fixed_variable.FVariable.min_of = _smaller


def _as_they_are(graph: CombLogic) -> CombLogic:
    """In the place of a pass of alkaid 0.8.2 that is to simplify wraps to a number's highest bit.

    It drops the shift of a wrap to one bit wherever that bit's value is that of the source's highest
    bit before the shift, and so takes another bit of it.
    """
    return graph


canon.canonicalize_msb_wraps = _as_they_are


_execute = CombLogic.exec_op
_MUX, _BITWISE, _NOT = 6, 9, 0


def _executed(self: CombLogic, op: Op, buf: NDArray[Any], inp: NDArray[Any]) -> Any:
    """alkaid 0.8.2 traces its own graph again, with ranges that have become narrower by then.

    A choice is made by the highest bit of a number, an inversion inverts all its bits: both are other
    bits where the number is known to be smaller. The square of x + c, for one, is first taken for a
    product of two numbers, of either sign; later on it has no sign bit any more.
    """
    if op.opcode == _MUX and isinstance(buf[op.addr[2]], fixed_variable.FVariable):
        if_high, if_low, key = (buf[i] for i in op.addr)
        taken = _sure_choice(key, self.ops[op.addr[2]].qint)
        if taken is not None:
            chosen = if_high if taken else if_low * 2.0 ** op.data[0]
            return _as_variable(chosen, key).quantize(*op.qint.kif)
    if op.opcode == _BITWISE and op.data[0] == _NOT:
        number, meant = buf[op.addr[0]], self.ops[op.addr[0]].qint
        if isinstance(number, fixed_variable.FVariable) and tuple(number.kif) != tuple(meant.kif):
            sign, whole, fraction = meant.kif
            return number * -1.0 + ((0.0 if sign else 2.0**whole) - 2.0**-fraction)
    return _execute(self, op, buf, inp)


def _sure_choice(key: Any, meant: QInterval) -> bool | None:
    """Whether the highest bit that `key` had with the range `meant` is set; None where it may be."""
    if meant.min < 0:
        above, below = key.high < 0, key.low >= 0
    else:
        half = 2.0 ** (meant.kif[1] - 1)
        above, below = key.low >= half, key.high < half
    return True if above else (False if below else None)


def _as_variable(value: Any, like: Any) -> Any:
    if isinstance(value, fixed_variable.FVariable):
        return value
    return fixed_variable.FVariable.from_const(value, hwconf=like.hwconf)


CombLogic.exec_op = _executed


def _same_bits(op: Op) -> tuple[Any, ...]:
    """What two operations have in common that are one: alkaid 0.8.2 leaves their ranges out.

    The one then gets the narrower range of both, and who chose by its highest bit chooses by another.
    """
    sign, whole, _ = op.qint.kif
    return (*_key_of(op), sign, whole)


_key_of = cse.to_key
cse.to_key = _same_bits


_make_table = fixed_variable_array.make_table
MAX_TABLE = 2**20
"""entries of a table: more would fill the memory before hardware says that it is no use"""


def _bounded_table(function: Any, interval: Any) -> Any:
    entries = (float(interval.max) - float(interval.min)) / float(interval.step) + 1
    if abs(entries) > MAX_TABLE:
        raise ModelError(
            f"a table of {abs(entries):.3g} entries, at most {MAX_TABLE} are possible; quantise its input to "
            "fewer bits"
        )
    return _make_table(function, interval)


fixed_variable_array.make_table = _bounded_table
