"""The fixed-point grid of a score: where a hardware threshold can lie.

Firmware compares integers: a threshold is a whole number of LSB, and a score past the end of its
range stands at that end. Nothing wraps here, whatever the format's own overflow mode is.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import DataError, RateError
from triggerforge.fixedpoint import FixedFormat, Overflow


def saturating(score: FixedFormat) -> FixedFormat:
    """The same grid, with the nearest end of the range in the place of a value outside."""
    return replace(score, overflow=Overflow.SAT)


def difference(first: FixedFormat, second: FixedFormat) -> FixedFormat:
    """The narrowest signed format that holds every difference of the two exactly.

    Raises ConfigError if it takes more bits than a FixedFormat has.
    """
    fraction = max(first.fraction, second.fraction)
    low = first.range[0] - second.range[1]
    high = first.range[1] - second.range[0]
    width = 1
    while not (-(2.0 ** (width - 1)) <= np.ldexp(low, fraction)) or not (
        np.ldexp(high, fraction) <= 2.0 ** (width - 1) - 1
    ):
        width += 1
    return FixedFormat(width, width - fraction, signed=True, overflow=Overflow.SAT)


def to_lsb(threshold: float, score: FixedFormat) -> int:
    """The threshold as the integer that the hardware holds.

    Raises RateError if it is outside the score's range or between two of its values.
    """
    low, high = score.range
    if not low <= threshold <= high:
        raise RateError(
            f"threshold {threshold:g} is outside {low:g}..{high:g}, the range of the score "
            f"{score}; it would never or always fire: choose one inside"
        )
    lsb = np.ldexp(threshold, score.fraction)
    if lsb != np.rint(lsb):
        raise RateError(
            f"threshold {threshold:.9g} is no multiple of {score.lsb:g}, the step of {score}; "
            f"{np.floor(lsb) * score.lsb:.9g} or {np.ceil(lsb) * score.lsb:.9g} is"
        )
    return int(lsb)


def require_on_grid(values: NDArray[Any], score: FixedFormat, what: str) -> None:
    """Raises DataError unless every one of `values` (N,) is a value of the format.

    A score outside the range would have wrapped or saturated on its way: it is not the hardware's.
    """
    off = saturating(score).quantize(values) != np.asarray(values, np.float64)
    if off.any():
        first = int(np.argmax(off))
        raise DataError(
            f"{int(off.sum())} of {len(values)} scores of the {what} model are no values of {score}, "
            f"the first is {float(values[first]):.9g} in event {first}; they are not the firmware's: "
            "run the stages again"
        )
