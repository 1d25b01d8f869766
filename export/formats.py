"""The fixed-point formats of an HGQ2 quantiser, one for every element.

Semantics after `quantizers.fixed_point` (calad0i/quantizers) and `hgq.quantizer` (calad0i/HGQ2):
k sign bits, i integer bits without the sign, f fraction bits; an element of k + i + f <= 0 bits
is pruned, its value 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from triggerforge.compression.backend import keras
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.grid import ZERO_FRACTION, Floats, Grid, Ints
from triggerforge.fixedpoint import Overflow, Rounding


@dataclass(frozen=True)
class ElementFormats:
    """Formats of the elements of one event (arrays of one shape), and the modes they share."""

    signed: Ints
    """1 or 0"""
    integer: Ints
    """without the sign bit"""
    fraction: Ints
    rounding: Rounding
    overflow: Overflow

    @classmethod
    def of(cls, quantizer: Any, shape: tuple[int, ...], where: str) -> "ElementFormats":
        """Formats of an HGQ2 `Quantizer` for tensors of `shape` (without the batch axis).

        Raises UnsupportedOperationError, naming the layer `where`, for a floating-point or
        scaled quantiser and for a mode that has no counterpart in `ap_fixed`.
        """
        inner = quantizer.quantizer
        if not hasattr(inner, "kif"):
            raise UnsupportedOperationError(
                f"{where}: {type(inner).__name__} is no fixed-point quantiser; use kbi or kif"
            )
        if quantizer.scaler is not None or quantizer.affine is not None:
            raise UnsupportedOperationError(
                f"{where}: quantiser with scaler={quantizer.scaler} affine={quantizer.affine}; "
                "only plain fixed point is exported, fold the scale into the weights"
            )
        k, i, f = (
            np.broadcast_to(keras.ops.convert_to_numpy(v), (1, *shape))[0].astype(np.int64)
            for v in inner.kif
        )
        return cls(
            k,
            i,
            f,
            rounding=_mode(Rounding, inner.round_mode.removeprefix("S_"), where),
            overflow=_mode(Overflow, inner.overflow_mode, where),
        )

    def reshaped(self, shape: tuple[int, ...]) -> "ElementFormats":
        """The same formats for the same elements in another layout."""
        signed, integer, fraction = (
            v.reshape(shape) for v in (self.signed, self.integer, self.fraction)
        )
        return ElementFormats(signed, integer, fraction, self.rounding, self.overflow)

    @property
    def width(self) -> Ints:
        """Bits of each element; 0 where it is pruned."""
        bits: Ints = np.maximum(self.signed + self.integer + self.fraction, 0)
        return bits

    @property
    def live(self) -> Any:
        """Where an element is not pruned."""
        return self.width > 0

    @property
    def low(self) -> Floats:
        """Smallest value, in units of the LSB."""
        magnitude = np.ldexp(1.0, self.width - self.signed)
        if self.overflow is Overflow.SAT_SYM:
            magnitude = magnitude - 1
        return np.where(self.live, -self.signed * magnitude, 0.0)

    @property
    def high(self) -> Floats:
        """Largest value, in units of the LSB."""
        return np.where(self.live, np.ldexp(1.0, self.width - self.signed) - 1, 0.0)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Smallest and largest value."""
        return np.ldexp(self.low, -self.fraction), np.ldexp(self.high, -self.fraction)

    def needs_rounding(self, grid: Grid) -> Any:
        """Where values on `grid` can lie between the steps of the format."""
        return self.live & (grid.fraction > self.fraction)

    def round_units(self, units: Floats) -> Floats:
        """`units` of the LSB, rounded."""
        if self.rounding is Rounding.RND_CONV:
            return np.rint(units)
        return np.floor(units + (0.5 if self.rounding is Rounding.RND else 0.0))

    def apply(self, values: Floats) -> Floats:
        """`values` (..., *shape), quantised in float64: the reference that tables are made with."""
        units = self.round_units(np.ldexp(values, self.fraction))
        low, high = self.low, self.high
        if self.overflow is Overflow.WRAP:
            span = np.ldexp(1.0, self.width)
            units = units - span * np.floor((units - low) / span)
        units = np.where(self.live, np.clip(units, low, high), 0.0)
        return np.ldexp(units, -self.fraction)

    def after(self, grid: Grid) -> Grid:
        """What values of `grid` become; its steps stay where they are coarser than the format's."""
        units_low = self.round_units(np.ldexp(grid.low, self.fraction))
        units_high = self.round_units(np.ldexp(grid.high, self.fraction))
        inside = (units_low >= self.low) & (units_high <= self.high)
        if self.overflow is Overflow.WRAP:
            low = np.where(inside, units_low, self.low)
            high = np.where(inside, units_high, self.high)
        else:
            low, high = np.clip([units_low, units_high], self.low, self.high)
        fraction = np.where(self.live, np.minimum(grid.fraction, self.fraction), ZERO_FRACTION)
        return Grid.of(
            np.where(self.live, np.ldexp(low, -self.fraction), 0.0),
            np.where(self.live, np.ldexp(high, -self.fraction), 0.0),
            # a clipped value is an end of the range, which has the format's own step
            np.where(self.live & ~inside, self.fraction, fraction),
        )


def _mode(kind: Any, name: str, where: str) -> Any:
    try:
        return kind(name)
    except ValueError as error:
        raise UnsupportedOperationError(
            f"{where}: quantiser mode {name!r} has no exact export; use one of "
            f"{[str(m) for m in kind]}"
        ) from error
