"""A tensor of the graph under construction: its grid, and how to get at its values.

What ONNX holds is `value * 2^exponent`, element by element, so that quantised tensors are whole
numbers there, and the powers of two go into the weights that read them. A tensor that a linear
layer makes is pending: it is emitted once the scale and offset that its quantiser wants are known,
and both go into the weights and the bias too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from onnx import helper

from triggerforge.export.builder import GraphBuilder
from triggerforge.export.grid import Floats, Grid, Ints, exact_type, fraction_bits

Emit = Callable[[Floats, Floats], "Stored"]


@dataclass(frozen=True)
class Stored:
    """The name of an ONNX value and its element type."""

    name: str
    dtype: Any


@dataclass(frozen=True)
class Tensor:
    """`grid` bounds the values, after the ReLU if `relu` is set.

    Either `stored` (with `exponent`) or `emit` is given. `emit(scale, offset)` makes the ONNX
    value `raw * scale + offset`, where `raw` is the value before the ReLU, on `raw_grid`.
    """

    grid: Grid
    where: str
    """the layer, for error messages"""
    stored: Stored | None = None
    exponent: Ints = field(default_factory=lambda: np.zeros((), np.int64))
    emit: Emit | None = None
    raw_grid: Grid | None = None
    relu: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return self.grid.shape

    @property
    def unclipped(self) -> Grid:
        """The grid before a pending ReLU."""
        return self.raw_grid if self.raw_grid is not None else self.grid

    def rectified(self, graph: GraphBuilder) -> "Tensor":
        """max(value, 0)."""
        low, high = np.maximum([self.grid.low, self.grid.high], 0)
        grid = Grid.of(low, high, self.grid.fraction)
        if self.emit is not None:
            return replace(self, grid=grid, raw_grid=self.unclipped, relu=True)
        assert self.stored is not None
        if np.all(self.grid.low >= 0):
            return self
        name = graph.node("Relu", self.stored.name)
        return replace(self, grid=grid, stored=Stored(name, self.stored.dtype))

    def raw_values(self, graph: GraphBuilder, scale: Floats, offset: Floats) -> Stored:
        """The ONNX value `raw * scale + offset`, before a pending ReLU."""
        if self.emit is not None:
            return self.emit(scale, offset)
        return self._affine(graph, scale, offset)

    def values(self, graph: GraphBuilder, scale: Floats) -> Stored:
        """The ONNX value `value * scale`."""
        found = self.raw_values(graph, scale, np.zeros(()))
        return Stored(graph.node("Relu", found.name), found.dtype) if self.relu else found

    def settled(self, graph: GraphBuilder) -> "Tensor":
        """The same tensor, emitted now: what several readers can share."""
        if self.stored is not None:
            return self
        return Tensor(self.grid, self.where, self.values(graph, np.ones(())))

    def _affine(self, graph: GraphBuilder, scale: Floats, offset: Floats) -> Stored:
        """`stored * factor + offset` with neither operator where it would change nothing."""
        assert self.stored is not None
        factor = np.ldexp(scale, -self.exponent)
        wanted = accumulator_type(self.grid, scale, offset, self.where)
        dtype = np.promote_types(self.stored.dtype, wanted).type
        name = cast(graph, self.stored, dtype).name
        if np.any(factor != 1):
            name = graph.node("Mul", name, graph.constant(compact(factor).astype(dtype)))
        if np.any(offset != 0):
            name = graph.node("Add", name, graph.constant(compact(offset).astype(dtype)))
        return Stored(name, dtype)


def accumulator_type(grid: Grid, scale: Floats, offset: Floats, where: str) -> Any:
    """The type in which values of `grid`, times `scale` plus `offset`, are exact.

    Raises UnsupportedOperationError, naming the layer `where`, if there is none.
    """
    scale, offset, _ = np.broadcast_arrays(scale, offset, grid.low)
    shift = np.divide(offset, scale, out=np.zeros(scale.shape), where=scale != 0)
    fraction = np.maximum(grid.fraction, fraction_bits(shift))
    return exact_type(grid.magnitude + np.abs(shift), fraction, where)


def cast(graph: GraphBuilder, stored: Stored, dtype: Any) -> Stored:
    """`stored` as `dtype`; the caller knows that its values fit."""
    if stored.dtype == dtype:
        return stored
    to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return Stored(graph.node("Cast", stored.name, to=to), dtype)


def compact(values: Any) -> Any:
    """`values` with every axis of length > 1 along which they do not change cut to length 1."""
    for axis in range(np.ndim(values)):
        first = np.take(values, [0], axis=axis)
        if np.array_equal(np.broadcast_to(first, np.shape(values)), values):
            values = first
    return np.reshape(values, ()) if np.size(values) == 1 else values
