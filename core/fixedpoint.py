"""Fixed-point formats in the words of `ap_fixed`, and their arithmetic on numpy arrays.

The rules are those of AMD UG1399, "Arbitrary Precision Fixed-Point Data Types".
"""

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

    def _rounded(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """`x` in units of the LSB, rounded, before overflow; raises DataError for NaN, which has none."""
        scaled = np.ldexp(np.asarray(x, dtype=np.float64), self.fraction)
        if np.isnan(scaled).any():
            first = np.argwhere(np.isnan(scaled))[0].tolist()
            raise DataError(
                f"{int(np.isnan(scaled).sum())} of {scaled.size} numbers are NaN, the first at {first}; "
                f"{self} has no such value: leave those events out"
            )
        if self.rounding is Rounding.TRN:
            return np.floor(scaled)
        if self.rounding is Rounding.RND_CONV:
            return np.rint(scaled)
        # floor(x + 0.5) would round 0.5 - 2^-54 up: compare the remainder instead
        floor = np.floor(scaled)
        return floor + (scaled - floor >= 0.5)

    def to_integers(self, x: NDArray[Any]) -> NDArray[np.int64]:
        """The integers that hold `x` (any shape) in hardware, after rounding and overflow.

        Raises DataError for NaN, and for infinite numbers where the format wraps.
        """
        rounded = self._rounded(x)
        low, high = self.integer_range
        if self.overflow is not Overflow.WRAP:
            return np.clip(rounded, low, high).astype(np.int64)
        if np.isinf(rounded).any():
            first = np.argwhere(np.isinf(rounded))[0].tolist()
            raise DataError(
                f"{int(np.isinf(rounded).sum())} of {rounded.size} numbers are infinite, the first at "
                f"{first}, and {self} wraps; leave those events out or use SAT"
            )
        span = 2.0**self.width
        # exact: the remainder of a float is one, the difference of large ones may not be
        integers: NDArray[np.int64] = np.mod(np.fmod(rounded, span) - low, span).astype(np.int64)
        return integers + low

    def quantize(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """`x` (any shape) on the format's grid, after rounding and overflow."""
        return np.ldexp(self.to_integers(x).astype(np.float64), -self.fraction)

    def overflows(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Where `x` (any shape), once rounded, lies outside the range."""
        rounded = self._rounded(x)
        low, high = self.integer_range
        return np.asarray((rounded < low) | (rounded > high))
