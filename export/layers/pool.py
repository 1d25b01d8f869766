"""Pooling over windows and over all positions, channels last."""

from functools import reduce
from typing import Any

import numpy as np

from triggerforge.export.grid import Grid, exact_type
from triggerforge.export.handlers import handles
from triggerforge.export.layers.merge import scaled
from triggerforge.export.layers.reduce import largest, total
from triggerforge.export.layers.window import Window, pad_name, shifted
from triggerforge.export.linear import common_exponent
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor, cast


@handles("QGlobalMaxPooling1D", "QGlobalMaxPooling2D")
def global_max(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """The largest value over all positions."""
    _require_channels_last(context, layer)
    return largest(context, x, tuple(range(len(x.shape) - 1)), layer.keepdims)


@handles("QGlobalAveragePooling1D", "QGlobalAveragePooling2D")
def global_average(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """The mean over all positions, whose number has to be a power of two."""
    _require_channels_last(context, layer)
    axes = tuple(range(len(x.shape) - 1))
    count = int(np.prod(x.shape[:-1]))
    return scaled(total(context, x, axes, layer.keepdims), _one_over(context, count))


@handles("QMaxPooling1D", "QMaxPooling2D", "MaxPooling1D", "MaxPooling2D")
def max_pool(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """The largest value in each window."""
    window, exponent, source = _windows(context, layer, x)
    rank = len(window.size)
    first = context.graph.node("Transpose", source.name, perm=[0, rank + 1, *range(1, rank + 1)])
    pads = [p[0] for p in window.pads] + [p[1] for p in window.pads]
    out = context.graph.node(
        "MaxPool", first, kernel_shape=list(window.size), strides=list(window.strides), pads=pads
    )
    name = context.graph.node("Transpose", out, perm=[0, *range(2, rank + 2), 1])
    grid = Grid(
        *(
            reduce(np.maximum, _views(window, v, fill))
            for v, fill in ((x.grid.low, -np.inf), (x.grid.high, -np.inf), (x.grid.fraction, -64))
        )
    )
    return Tensor(grid, context.where, Stored(name, source.dtype), exponent)


@handles("QAveragePooling1D", "QAveragePooling2D")
def average_pool(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """The mean of each window, whose size has to be a power of two; no padding."""
    if layer.padding != "valid":
        raise context.unsupported(
            "average over padded windows of unequal size; use padding='valid'"
        )
    window, exponent, source = _windows(context, layer, x)
    reach = sum(_views(window, x.grid.magnitude, 0))
    fraction = reduce(np.maximum, _views(window, x.grid.fraction, -64))
    source = cast(context.graph, source, exact_type(reach, fraction, context.where))
    padded = pad_name(context, window, source, 0.0)
    parts = [shifted(context, window, padded, shift) for shift in window.shifts]
    name = reduce(lambda a, b: context.graph.node("Add", a, b), parts)
    grid = Grid.of(
        sum(_views(window, x.grid.low, 0)),
        sum(_views(window, x.grid.high, 0)),
        fraction,
    )
    out = Tensor(grid, context.where, Stored(name, source.dtype), exponent)
    return scaled(out, _one_over(context, int(np.prod(window.size))))


def _windows(context: Lowering, layer: Any, x: Tensor) -> tuple[Window, Any, Stored]:
    """The windows, and x as an ONNX value whose exponents depend on the channel only."""
    _require_channels_last(context, layer)
    window = Window.of(x.shape[:-1], layer.pool_size, layer.strides, 1, layer.padding)
    x = x.settled(context.graph)
    exponent = common_exponent(x, (len(x.shape) - 1,))
    return window, exponent, x.values(context.graph, np.ldexp(1.0, exponent))


def _views(window: Window, values: Any, fill: Any) -> list[Any]:
    padded = np.pad(values, [*window.pads, (0, 0)], constant_values=fill)
    return [padded[window.slices(shift)] for shift in window.shifts]


def _one_over(context: Lowering, count: int) -> float:
    if count & (count - 1):
        raise context.unsupported(
            f"mean over {count} positions, no power of two; use QMeanPow2 or QSum with a scale"
        )
    return 1.0 / count


def _require_channels_last(context: Lowering, layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise context.unsupported(f"{layer.data_format}; use channels_last")
