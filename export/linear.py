"""Linear layers with constant weights: one operator, its scales folded in, proven exact."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from triggerforge.export.grid import Floats, Grid, fraction_bits, max_plus
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor, accumulator_type, cast, compact


@dataclass(frozen=True)
class Linear:
    """y = contract(x, weight) + bias, bilinear in x and weight.

    `input_axes[i]` and `output_axes[i]` say which axis of one event of x, and of y, runs with axis
    i of the weight (None: no such axis); along these axes powers of two fold into the weight.
    """

    weight: Floats
    bias: Floats | None
    input_axes: tuple[int | None, ...]
    output_axes: tuple[int | None, ...]
    contract: Callable[[Any, Any], Any]
    """the layer on numpy arrays of one event"""
    emit: Callable[[Lowering, Stored, str, str | None], str]
    """appends the operators for (context, x, weight, bias or None); gives back the output's name"""
    formats: Any = None
    """formats of weight and bias, (ElementFormats, ElementFormats | None), where a writer uses them"""

    def __call__(self, context: Lowering, x: Tensor) -> Tensor:
        """The pending output; raises UnsupportedOperationError if float64 cannot hold the sums."""
        bias = np.zeros(()) if self.bias is None else self.bias
        low, high = self._interval(x.grid, bias)
        magnitude = self.contract(x.grid.magnitude, np.abs(self.weight)) + np.abs(bias)
        fraction = np.maximum(
            max_plus(x.grid.fraction, fraction_bits(self.weight), self.contract),
            fraction_bits(bias),
        )
        grid = Grid.of(low, high, fraction)

        bounds = replace(grid, low=-magnitude, high=magnitude)
        where = context.where

        def emit(scale: Floats, offset: Floats) -> Stored:
            dtype = accumulator_type(bounds, scale, offset, where)
            return self._emit(context, x, dtype, *np.broadcast_arrays(scale, offset, grid.low)[:2])

        return Tensor(grid, where, emit=emit)

    def _interval(self, grid: Grid, bias: Floats) -> tuple[Floats, Floats]:
        up, down = np.maximum(self.weight, 0), np.minimum(self.weight, 0)
        low = self.contract(grid.low, up) + self.contract(grid.high, down) + bias
        high = self.contract(grid.high, up) + self.contract(grid.low, down) + bias
        return low, high

    def _emit(
        self, context: Lowering, x: Tensor, dtype: Any, scale: Floats, offset: Floats
    ) -> Stored:
        exponent = common_exponent(x, self.input_axes)
        source = cast(context.graph, x.values(context.graph, np.ldexp(1.0, exponent)), dtype)
        weight = self.weight * np.ldexp(1.0, -_along(exponent, self.input_axes, self.weight.ndim))
        foldable = tuple(a for a in self.output_axes if a is not None)
        folds = is_constant(scale, [a for a in range(scale.ndim) if a not in foldable])
        if folds:
            weight = weight * _along(_thin(scale, foldable), self.output_axes, self.weight.ndim)
        inner = scale if folds else np.ones(())
        bias = (0.0 if self.bias is None else self.bias) * inner + (offset if folds else 0.0)
        name = self._operators(context, source, weight, np.asarray(bias), dtype)
        if not folds:
            name = context.graph.node("Mul", name, context.number(scale, dtype))
            if np.any(offset != 0):
                name = context.graph.node("Add", name, context.number(offset, dtype))
        return Stored(name, dtype)

    def _operators(
        self, context: Lowering, source: Stored, weight: Floats, bias: Floats, dtype: Any
    ) -> str:
        kernel, shift = (self.formats or (None, None)) if context.keeps_formats else (None, None)
        weight_name = context.parameter(weight, dtype, kernel)
        bias = compact(bias)
        bias_name = context.parameter(bias, dtype, shift) if np.any(bias != 0) else None
        return self.emit(context, source, weight_name, bias_name)


def common_exponent(x: Tensor, keep: tuple[int | None, ...]) -> Any:
    """The exponents of x, made equal along every axis that is not in `keep` (length 1 there)."""
    exponent = np.broadcast_to(x.exponent, x.shape)
    axes = tuple(a for a in range(exponent.ndim) if a not in keep)
    return exponent.max(axis=axes, keepdims=True) if axes else exponent


def is_constant(values: Any, axes: list[int]) -> bool:
    """Whether `values` do not change along `axes`."""
    first = values
    for axis in axes:
        first = np.take(first, [0], axis=axis)
    return bool(np.array_equal(np.broadcast_to(first, np.shape(values)), values))


def _thin(values: Any, keep: tuple[int, ...]) -> Any:
    for axis in range(np.ndim(values)):
        if axis not in keep:
            values = np.take(values, [0], axis=axis)
    return values


def _along(values: Any, axes: tuple[int | None, ...], rank: int) -> Any:
    """`values` of one event, laid out so that event axis axes[i] becomes weight axis i."""
    order = [a for a in axes if a is not None]
    rest = [a for a in range(np.ndim(values)) if a not in order]
    moved = np.transpose(values, order + rest)
    moved = moved.reshape(moved.shape[: len(order)])
    shape = iter(moved.shape)
    return moved.reshape([1 if a is None else next(shape) for a in axes])
