"""What a layer's lowering works with: the graph, and how a quantiser is written into it.

`Lowering` writes standard ONNX operators; `qonnx.QonnxLowering` writes `Quant` nodes.
"""

from typing import Any

import numpy as np

from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.builder import GraphBuilder
from triggerforge.export.formats import ElementFormats
from triggerforge.export.grid import Floats, Grid, exact_type
from triggerforge.export.tensor import Stored, Tensor, cast, compact
from triggerforge.fixedpoint import Overflow, Rounding


class Lowering:
    """The state of one walk over a model."""

    keeps_formats = False
    """whether `parameter` makes use of the formats of weights"""

    def __init__(self) -> None:
        self.graph = GraphBuilder()
        self.where = ""
        """the layer at hand, for error messages"""

    def number(self, values: Any, dtype: Any) -> str:
        """A constant, with axes along which it does not change cut to length 1."""
        return self.graph.constant(compact(values).astype(dtype))

    def parameter(self, values: Floats, dtype: Any, formats: ElementFormats | None) -> str:
        """A weight or a bias, already quantised."""
        return self.graph.constant(np.asarray(values).astype(dtype), "weight")

    def add_bias(self, value: str, bias: str | None) -> str:
        """`value + bias`, where there is one."""
        return value if bias is None else self.graph.node("Add", value, bias)

    def unsupported(self, what: str) -> UnsupportedOperationError:
        """The error to raise for something about the layer at hand."""
        return UnsupportedOperationError(f"{self.where}: {what}")

    def quantize(self, x: Tensor, formats: ElementFormats) -> Tensor:
        """x after the quantiser; x itself where the quantiser provably changes no value."""
        grid = formats.after(x.grid)
        if changes_nothing(x.grid, formats):
            return x
        rounds = formats.needs_rounding(x.grid)
        half = 0.5 if formats.rounding is Rounding.RND else 0.0
        scale = np.where(formats.live, np.ldexp(1.0, formats.fraction), 0.0)
        units = x.raw_values(self.graph, scale, np.where(rounds, half, 0.0))
        if rounds.any():
            operator = "Round" if formats.rounding is Rounding.RND_CONV else "Floor"
            units = Stored(self.graph.node(operator, units.name), units.dtype)
        low, high = _units(x.unclipped, formats)
        if formats.overflow is Overflow.WRAP:
            if x.relu:
                units = Stored(self.graph.node("Relu", units.name), units.dtype)
            units = self.wrap(units, *_units(x.grid, formats), formats)
        else:
            floor = np.maximum(formats.low, 0.0) if x.relu else formats.low
            units = self.clip(units, low, high, floor, formats.high)
        narrow = exact_type(grid.magnitude, grid.fraction, self.where)
        exponent = np.where(formats.live, formats.fraction, 0)
        return Tensor(grid, self.where, cast(self.graph, units, narrow), exponent)

    def clip(self, units: Stored, low: Floats, high: Floats, bottom: Floats, top: Floats) -> Stored:
        """`units`, known to lie in [low, high], limited to [bottom, top], element by element."""
        under, over = low < bottom, high > top
        if not (under | over).any():
            return units
        bottoms, tops = np.unique(bottom[under]), np.unique(top[over])
        if self._one_bound_fits(bottoms, tops, low, high, under, over):
            # where all values lie beyond one bound, the other side's must not cut it off again
            least = bottoms[0] if bottoms.size else min(np.min(low), tops[0])
            most = tops[0] if tops.size else max(np.max(high), least)
            return self._clip_all(units, float(least), float(most))
        name = units.name
        if under.any():
            name = self.graph.node("Max", name, self.number(np.minimum(bottom, top), units.dtype))
        if over.any():
            name = self.graph.node("Min", name, self.number(top, units.dtype))
        return Stored(name, units.dtype)

    @staticmethod
    def _one_bound_fits(
        bottoms: Floats, tops: Floats, low: Floats, high: Floats, under: Any, over: Any
    ) -> bool:
        """Whether one scalar bound a side acts on the elements that need it, and on no other."""
        if bottoms.size > 1 or tops.size > 1 or (bottoms.size and tops.size and bottoms > tops):
            return False
        spared_low = not bottoms.size or bool(np.all(low[~under] >= bottoms[0]))
        spared_high = not tops.size or bool(np.all(high[~over] <= tops[0]))
        return spared_low and spared_high

    def _clip_all(self, units: Stored, bottom: float, top: float) -> Stored:
        limits = [self.graph.constant(np.asarray(v, units.dtype)) for v in (bottom, top)]
        return Stored(self.graph.node("Clip", units.name, *limits), units.dtype)

    def wrap(self, units: Stored, low: Floats, high: Floats, formats: ElementFormats) -> Stored:
        """`units`, known to lie in [low, high], modulo 2^width: units - span floor((units - low) / span)."""
        if not ((low < formats.low) | (high > formats.high)).any():
            return units
        # of elements that cannot overflow, or are 0, the number of turns is 0 whatever the span
        span = np.ldexp(1.0, np.maximum(formats.width, 1))
        fits = exact_type(
            np.maximum(np.abs(low), np.abs(high)) + span, np.zeros_like(formats.width), self.where
        )
        units = cast(self.graph, units, np.promote_types(units.dtype, fits).type)
        turns = units.name
        if np.any(formats.low != 0):
            turns = self.graph.node("Sub", turns, self.number(formats.low, units.dtype))
        turns = self.graph.node("Mul", turns, self.number(1.0 / span, units.dtype))
        turns = self.graph.node("Floor", turns)
        turns = self.graph.node("Mul", turns, self.number(span, units.dtype))
        return Stored(self.graph.node("Sub", units.name, turns), units.dtype)


def changes_nothing(grid: Grid, formats: ElementFormats) -> bool:
    """Whether every value of `grid` is one of the formats' values already."""
    low, high = formats.bounds
    zero = (grid.low == 0) & (grid.high == 0)
    inside = (grid.low >= low) & (grid.high <= high) & (grid.fraction <= formats.fraction)
    return bool(np.all(zero | (inside & formats.live)))


def _units(grid: Grid, formats: ElementFormats) -> tuple[Floats, Floats]:
    """The ends of `grid` in units of the LSB, rounded; 0 where an element is pruned."""
    low, high = (formats.round_units(np.ldexp(v, formats.fraction)) for v in (grid.low, grid.high))
    return np.where(formats.live, low, 0.0), np.where(formats.live, high, 0.0)
