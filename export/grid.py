"""What values a tensor can take: an interval and a step for every element.

The proof that a graph of floating-point operators is exact rests on this: a sum of multiples of
2^-f whose absolute values add up to at most 2^24 steps is exact in float32, in any order, with
or without fused multiply-add (2^53 for float64).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import UnsupportedOperationError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ZERO_FRACTION = -64
"""Stands for the step of an element that is always 0."""
_SPREAD = 14  # max_plus holds for contractions of fewer than 2^14 terms
_FLOAT32_STEPS = 2.0**24
_FLOAT64_STEPS = 2.0**53


@dataclass(frozen=True)
class Grid:
    """Per element of one event: low <= value <= high, and value is a multiple of 2^-fraction."""

    low: Floats
    high: Floats
    fraction: Ints

    @classmethod
    def of(cls, low: Any, high: Any, fraction: Any) -> "Grid":
        """Broadcasts the three to one shape; elements that are always 0 get ZERO_FRACTION."""
        lows, highs, fractions = np.broadcast_arrays(
            np.asarray(low, np.float64), np.asarray(high, np.float64), np.asarray(fraction)
        )
        zero = (lows == 0) & (highs == 0)
        return cls(lows, highs, np.where(zero, ZERO_FRACTION, fractions).astype(np.int64))

    @classmethod
    def constant(cls, values: NDArray[Any]) -> "Grid":
        """The grid of known numbers."""
        return cls.of(values, values, fraction_bits(values))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return self.low.shape

    @property
    def magnitude(self) -> Floats:
        """Largest absolute value of each element."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def map(self, function: Callable[[NDArray[Any]], NDArray[Any]]) -> "Grid":
        """The grid after a change of layout (reshape, transpose, slice) `function`."""
        return Grid(function(self.low), function(self.high), function(self.fraction))


def fraction_bits(values: NDArray[Any]) -> Ints:
    """The fewest fraction bits that hold each of `values`; ZERO_FRACTION for 0."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    whole = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    trailing = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return np.where(whole != 0, 53 - exponent - trailing, ZERO_FRACTION).astype(np.int64)


def exact_type(magnitude: Floats, fraction: Ints, where: str) -> type[np.float32 | np.float64]:
    """The narrower of float32 and float64 that holds multiples of 2^-fraction up to `magnitude`.

    Raises UnsupportedOperationError, naming the layer `where`, if float64 does not either.
    """
    steps = float(np.max(np.ldexp(magnitude, fraction), initial=0.0))
    if steps <= _FLOAT32_STEPS:
        return np.float32
    if steps <= _FLOAT64_STEPS:
        return np.float64
    raise UnsupportedOperationError(
        f"{where}: sums of {np.log2(steps):.1f} bits do not fit the 53 bits of float64; give its "
        "inputs or weights fewer bits"
    )


def max_plus(
    a: Ints, b: Ints, contract: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
) -> Ints:
    """The largest a + b among the terms of each sum of `contract`, which is bilinear.

    Entries equal to ZERO_FRACTION do not count. Works on sums of powers 2^(14 (a + b)), whose
    leading bit tells the largest term; differences beyond the range of float64 are bounded.
    """
    live_a, live_b = a != ZERO_FRACTION, b != ZERO_FRACTION
    if not live_a.any() or not live_b.any():
        return np.full(
            np.shape(contract(a.astype(np.float64), b.astype(np.float64))), -64, np.int64
        )
    top_a, top_b = int(a[live_a].max()), int(b[live_b].max())
    power_a = np.where(live_a, np.ldexp(1.0, _SPREAD * np.maximum(a - top_a, -70)), 0.0)
    power_b = np.where(live_b, np.ldexp(1.0, _SPREAD * np.maximum(b - top_b, -70)), 0.0)
    total = contract(power_a, power_b)
    count = contract(live_a.astype(np.float64), live_b.astype(np.float64))
    leading = (np.frexp(total)[1] - 1) // _SPREAD
    lowest = -1022 // _SPREAD
    found = np.where(total > 0, np.maximum(leading, lowest), lowest) + top_a + top_b
    return np.where(count > 0, found, ZERO_FRACTION).astype(np.int64)
