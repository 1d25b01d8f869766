"""The input contract: how a physical quantity becomes a hardware integer, and a network's input.

A network's input is x = (raw - offset) * 2^-shift. Offset and power-of-two shift are what Level-1
firmware does to its integers (cms-hls4ml/AXOL1TL, `scales.h`: ad_offsets, ad_shift), so that the
float that a network is trained on and the integer that the hardware holds are the same number.

The integer is that of exact arithmetic on the raw value, a float64. x is kept in float32, and always
on the raw value's side of every edge of rounding: `quantize(normalize(raw))` is that integer.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat

_EXACT_BITS = 24
_EXPONENTS = 126
_SHIFTS = 1100
_LARGEST = float(np.finfo(np.float32).max)
OFFSET_BITS = 64
"""bits of an offset below the LSB of its input, in the steps that hardware subtracts it in"""


@dataclass(frozen=True)
class InputFeature:
    """One input of the network: `format` is that of x, after offset and shift."""

    name: str
    unit: str
    offset: float
    """in `unit`"""
    shift: int
    """x = (raw - offset) * 2^-shift"""
    format: FixedFormat
    padding: float = 0.0
    """value of x where there is no particle: one that the format holds"""

    def __post_init__(self) -> None:
        fmt = self.format
        if fmt.width > _EXACT_BITS:
            raise DataError(
                f"input {self.name!r}: {fmt} is wider than the {_EXACT_BITS} bits that "
                "float32 holds exactly; give it fewer bits"
            )
        if fmt.integer > _EXPONENTS or fmt.fraction > _EXPONENTS:
            raise DataError(
                f"input {self.name!r}: {fmt} reaches beyond 2^±{_EXPONENTS}, where float32 ends; "
                "measure it in another unit"
            )
        if not isinstance(self.shift, int) or abs(self.shift) > _SHIFTS:
            raise DataError(
                f"input {self.name!r}: a shift of {self.shift!r}; it is a whole number from -{_SHIFTS} "
                f"to {_SHIFTS}"
            )
        steps = self.offset_steps * 2**OFFSET_BITS
        if steps.denominator != 1 or abs(self.offset_steps) >= 2 ** (OFFSET_BITS - 4):
            raise DataError(
                f"input {self.name!r}: an offset of {self.offset:g} is {float(self.offset_steps):g} "
                f"steps of its LSB; it must be below 2^{OFFSET_BITS - 4} steps, with at most "
                f"{OFFSET_BITS} bits after the point: round it to a multiple of the step"
            )
        if not np.isfinite(self.padding) or fmt.quantize(np.array(self.padding)) != self.padding:
            low, high = fmt.range
            raise DataError(
                f"input {self.name!r}: padding {self.padding:g} is no value of {fmt}; allowed are "
                f"multiples of {fmt.lsb:g} from {low:g} to {high:g}"
            )

    @property
    def offset_steps(self) -> Fraction:
        """The offset in steps of the LSB, exactly; raises DataError where it is not finite."""
        if not np.isfinite(self.offset):
            raise DataError(f"input {self.name!r}: an offset of {self.offset}; give a finite one")
        return Fraction(float(self.offset)) * Fraction(2) ** (self.format.fraction - self.shift)

    def to_integers(self, raw: NDArray[Any]) -> NDArray[np.int64]:
        """The port's integers for physical values in `unit` (any shape), as in exact arithmetic."""
        return self.format.to_integers(raw, self.offset, self.shift)

    def normalize(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """x of physical values in `unit` (any shape), float32, not yet rounded to the grid.

        The nearest float32 number, or its neighbour where the nearest lies beyond an edge of
        rounding. Where a format wraps and float32 has no bits left below the LSB: a number outside the
        range that wraps to the same. Finite for finite numbers.
        """
        values = np.asarray(raw, np.float64)
        with np.errstate(over="ignore", under="ignore"):
            wide = np.ldexp(values - self.offset, -self.shift)
            wide = np.where(np.isfinite(values), np.clip(wide, -_LARGEST, _LARGEST), wide)
            x: NDArray[np.float32] = np.asarray(wide, np.float32)
        finite = np.isfinite(values)
        wanted = self.to_integers(np.where(finite, values, 0.0))
        for instead in (_above, _below, self._outside):
            other = finite & (self.format.to_integers(np.where(finite, x, 0.0)) != wanted)
            if not other.any():
                break
            x[other] = instead(wide[other].astype(np.float32), wanted[other])
        return x

    def _outside(self, x: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """Numbers outside the range that wrap to the integers `wanted`."""
        turn = 2**self.format.width
        outside = wanted - np.where(wanted < 0, -turn, turn)
        return np.asarray(np.ldexp(outside, -self.format.fraction), np.float32)


def _above(x: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.nextafter(x, np.float32(_LARGEST))


def _below(x: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.nextafter(x, np.float32(-_LARGEST))


@dataclass(frozen=True)
class RangeCount:
    """How often one input leaves its fixed-point range."""

    name: str
    events: int
    """events looked at"""
    saturated: int
    """events in which at least one value of this input lies outside the format's range"""
    low: float
    """smallest x seen"""
    high: float
    """largest x seen"""
    allowed: tuple[float, float]
    """the format's range"""


@dataclass(frozen=True)
class InputContract:
    """Name, order, unit, scale, fixed-point format and padding of every input.

    `shape` is that of one event; its last axis runs over `features` (16 features: (16,);
    P particles of F features: (P, F); an image: (H, W, channels)).
    Raises DataError if the last axis and the number of features differ.
    """

    features: tuple[InputFeature, ...]
    shape: tuple[int, ...]
    order: str = "as listed"
    """order along the first axis, such as "pT, falling" """

    def __post_init__(self) -> None:
        if not self.shape or self.shape[-1] != len(self.features):
            raise DataError(
                f"an event of shape {self.shape} cannot hold {len(self.features)} features in its "
                "last axis; give one feature for each of its entries"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(f.name for f in self.features)

    def normalize(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Physical values (N, *shape) to network inputs x (N, *shape), float32, not yet rounded.

        Rounded to the grid, x gives the integers of the raw float64: see `InputFeature.normalize`.
        """
        out = np.empty(np.shape(raw), np.float32)
        for i, feature in enumerate(self.features):
            out[..., i] = feature.normalize(np.asarray(raw)[..., i])
        return out

    def quantize(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """x (N, *shape) on the grid of each input's format: what every quantised engine is given."""
        out = np.empty(np.shape(x), dtype=np.float32)
        for i, feature in enumerate(self.features):
            out[..., i] = feature.format.quantize(np.asarray(x)[..., i])
        return out

    def on_grid(self, x: NDArray[Any]) -> NDArray[Any]:
        """x (N, *shape) itself where all of it lies on the grid, else `quantize(x)`.

        What a quantised engine does first with what it is handed. Raises DataError for NaN and inf.
        """
        scale, lsb, low, high = self._grid
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            steps = np.rint(x * scale)
            np.minimum(np.maximum(steps, low, out=steps), high, out=steps)
            if ((steps * lsb) == x).all():
                return x
        if not np.isfinite(x).all():
            raise DataError(
                f"{int((~np.isfinite(x)).sum())} of {np.size(x)} inputs are NaN or inf; leave those "
                "events out"
            )
        return self.quantize(x)

    @cached_property
    def _grid(self) -> tuple[NDArray[np.float32], ...]:
        """For each feature: steps in 1, the step, the first and the last step of the range."""
        formats = [f.format for f in self.features]
        columns = (
            [2.0**f.fraction for f in formats],
            [f.lsb for f in formats],
            [f.integer_range[0] for f in formats],
            [f.integer_range[1] for f in formats],
        )
        return tuple(np.array(column, np.float32) for column in columns)

    def to_integers(self, x: NDArray[Any]) -> NDArray[np.int64]:
        """x (N, *shape) as the integers that the hardware port carries."""
        out = np.empty(np.shape(x), dtype=np.int64)
        for i, feature in enumerate(self.features):
            out[..., i] = feature.format.to_integers(np.asarray(x)[..., i])
        return out

    def audit(self, x: NDArray[Any]) -> list[RangeCount]:
        """For each input, how many of the events x (N, *shape) leave its range."""
        counts = []
        for i, feature in enumerate(self.features):
            values = np.asarray(x)[..., i].reshape(len(x), -1)
            counts.append(
                RangeCount(
                    name=feature.name,
                    events=len(x),
                    saturated=int(feature.format.overflows(values).any(axis=1).sum()),
                    low=float(values.min()),
                    high=float(values.max()),
                    allowed=feature.format.range,
                )
            )
        return counts

    def to_dict(self) -> dict[str, Any]:
        """A form that JSON can hold; `from_dict` is its inverse."""
        features = [asdict(f) | {"format": str(f.format)} for f in self.features]
        return {"features": features, "shape": list(self.shape), "order": self.order}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "InputContract":
        """The contract that `to_dict` wrote; raises DataError if a key is missing."""
        try:
            features = tuple(
                InputFeature(**{**f, "format": FixedFormat.parse(f["format"])})
                for f in record["features"]
            )
            return cls(features, tuple(record["shape"]), record["order"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not an input contract: {error}") from error
