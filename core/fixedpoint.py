"""Fixed-point formats in the words of `ap_fixed`, and their arithmetic on numpy arrays.

The rules are those of AMD UG1399, "Arbitrary Precision Fixed-Point Data Types".
"""

import operator
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ConfigError, DataError


class Rounding(StrEnum):
    """What becomes of the bits below the LSB."""

    TRN = "TRN"
    """towards minus infinity"""
    RND = "RND"
    """to the nearest; halves towards plus infinity"""
    RND_CONV = "RND_CONV"
    """to the nearest; halves to the even one"""


class Overflow(StrEnum):
    """What becomes of a value outside the range."""

    WRAP = "WRAP"
    """the bits above the MSB are dropped"""
    SAT = "SAT"
    """the nearest end of the range"""
    SAT_SYM = "SAT_SYM"
    """the nearest end of the range [-max, max]"""


_PATTERN = re.compile(
    r"ap_(u?)fixed<\s*(-?\d+)\s*,\s*(-?\d+)\s*(?:,\s*(\w+)\s*)?(?:,\s*(\w+)\s*)?>"
)
_MAX_WIDTH = 52  # every value of a format is exact in float64
_TINY = 2.0**-1000


@dataclass(frozen=True)
class FixedFormat:
    """`ap_fixed<width, integer, rounding, overflow>`; `integer` counts the sign bit, as ap_fixed does.

    Raises ConfigError if `width` is outside 1..52 bits.
    """

    width: int
    integer: int
    signed: bool = True
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP

    def __post_init__(self) -> None:
        for name in (
            "width",
            "integer",
        ):  # numpy's would wrap in exact arithmetic with large numbers
            object.__setattr__(self, name, operator.index(getattr(self, name)))
        if not 1 <= self.width <= _MAX_WIDTH:
            raise ConfigError(f"a width of {self.width} bits is outside 1..{_MAX_WIDTH}")

    @classmethod
    def parse(cls, text: str) -> "FixedFormat":
        """Reads `ap_fixed<16,6,RND,SAT>` or `ap_ufixed<…>`; modes default to TRN and WRAP.

        Raises ConfigError if `text` is not of that form.
        """
        match = _PATTERN.fullmatch(text.strip().replace("AP_", ""))
        if match is None:
            raise ConfigError(f"{text!r} is no fixed-point type; write ap_fixed<W,I[,RND[,SAT]]>")
        unsigned, width, integer, rounding, overflow = match.groups()
        try:
            return cls(
                width=int(width),
                integer=int(integer),
                signed=not unsigned,
                rounding=Rounding(rounding or "TRN"),
                overflow=Overflow(overflow or "WRAP"),
            )
        except ValueError as error:
            modes = f"{[str(m) for m in Rounding]} and {[str(m) for m in Overflow]}"
            raise ConfigError(f"{text!r}: {error}; the modes are {modes}") from error

    def __str__(self) -> str:
        kind = "ap_fixed" if self.signed else "ap_ufixed"
        return f"{kind}<{self.width},{self.integer},{self.rounding},{self.overflow}>"

    @property
    def fraction(self) -> int:
        """Bits below the binary point."""
        return self.width - self.integer

    @property
    def lsb(self) -> float:
        """The step between neighbouring values."""
        return float(2.0**-self.fraction)

    @property
    def integer_range(self) -> tuple[int, int]:
        """The smallest and the largest value in units of the LSB."""
        if not self.signed:
            return 0, 2**self.width - 1
        low = -(2 ** (self.width - 1))
        high = 2 ** (self.width - 1) - 1
        return (-high if self.overflow is Overflow.SAT_SYM else low), high

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        low, high = self.integer_range
        return low * self.lsb, high * self.lsb

    def to_integers(
        self, x: NDArray[Any], offset: float = 0.0, shift: int = 0
    ) -> NDArray[np.int64]:
        """The integers that hold (x - offset) * 2^-shift (x of any shape) in hardware.

        After rounding and overflow, as in exact arithmetic: nothing is rounded on the way (with an
        offset, for formats of at most 50 bits). Raises DataError for NaN, and for infinite numbers
        where the format wraps.
        """
        values = np.asarray(x, np.float64)
        self._require_places(values)
        low, high = self.integer_range
        if self.overflow is not Overflow.WRAP:
            units = self._units(values, offset, shift)
            return np.clip(self._rounded(units), low, high).astype(np.int64)
        # the remainders of floats are exact, and small enough for what follows
        turn = float(np.ldexp(1.0, self.integer + shift))
        units = self._units(np.fmod(values, turn), float(np.fmod(offset, turn)), shift)
        span = 2.0**self.width
        integers: NDArray[np.int64] = np.mod(self._rounded(units) - low, span).astype(np.int64)
        return integers + low

    def _require_places(self, values: NDArray[np.float64]) -> None:
        """Raises DataError for numbers that no integer stands for."""
        self._require_none(values, np.isnan(values), "NaN", "")
        if self.overflow is Overflow.WRAP:
            self._require_none(values, np.isinf(values), "infinite", " or use SAT")

    def _require_none(
        self, values: NDArray[np.float64], bad: NDArray[np.bool_], what: str, advice: str
    ) -> None:
        if bad.any():
            raise DataError(
                f"{int(bad.sum())} of {values.size} numbers are {what}, the first at "
                f"{np.argwhere(bad)[0].tolist()}; {self} has no such value: leave those events "
                f"out{advice}"
            )

    def _units(self, values: NDArray[np.float64], offset: float, shift: int) -> NDArray[np.float64]:
        """(values - offset) * 2^-shift in units of the LSB, on its side of every edge of rounding.

        What the subtraction rounds off is known (D. Knuth, TAOCP 2, 4.2.2, theorem B); it matters
        only where the difference came out on an edge, a whole or half number: it is moved off it.
        """
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            difference = values - offset if offset else values
            units = np.asarray(np.ldexp(difference, self.fraction - shift))
            if self.fraction < shift:  # what is too small for a float64 keeps its sign
                lost = (units == 0) & (difference != 0)
                units = np.where(lost, np.copysign(_TINY, difference), units)
            if not offset:
                return units
            taken = values - difference
            rest = (values - (difference + taken)) + (taken - offset)
            edge = (2 * units == np.floor(2 * units)) & np.isfinite(rest)
            for sign, end in ((1, np.inf), (-1, -np.inf)):
                units = np.where(edge & (sign * rest > 0), np.nextafter(units, end), units)
        return units

    def _rounded(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Numbers in units of the LSB, rounded, before overflow."""
        if self.rounding is Rounding.TRN:
            return np.floor(units)
        if self.rounding is Rounding.RND_CONV:
            return np.rint(units)
        # floor(x + 0.5) would round 0.5 - 2^-54 up: compare the remainder instead
        floor = np.floor(units)
        with np.errstate(invalid="ignore"):  # infinite ones stay so
            return np.asarray(floor + (units - floor >= 0.5))

    def quantize(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """`x` (any shape) on the format's grid, after rounding and overflow."""
        return np.ldexp(self.to_integers(x).astype(np.float64), -self.fraction)

    def overflows(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Where `x` (any shape), once rounded, lies outside the range; raises DataError for NaN."""
        values = np.asarray(x, np.float64)
        self._require_none(values, np.isnan(values), "NaN", "")
        rounded = self._rounded(self._units(values, 0.0, 0))
        low, high = self.integer_range
        return np.asarray((rounded < low) | (rounded > high))
