"""Table activations: one Gather, its table filled with the layer's own function."""

from collections.abc import Callable
from typing import Any

import numpy as np

from triggerforge.compression.backend import keras
from triggerforge.export.formats import ElementFormats
from triggerforge.export.grid import Floats, Grid
from triggerforge.export.handlers import handles, lower_call
from triggerforge.export.layers.merge import difference, product
from triggerforge.export.layers.reduce import event_axes, largest, total
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor

_LARGEST_TABLE = 1 << 22


@handles("QUnaryFunctionLUT", "QAffinedUnaryFunctionLUT", quantizes_output=True)
def table(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """f(x), every value of it looked up.

    Raises UnsupportedOperationError without an output quantiser, or if the inputs are so wide
    that the tables would have more than 2^22 entries.
    """
    if not layer.enable_oq:
        raise context.unsupported("a table without output quantiser has no exact values; enable oq")
    formats = ElementFormats.of(layer.oq, x.shape, context.where)
    return lookup(context, x, formats, lambda v: _keras_values(layer, v))


def _keras_values(layer: Any, values: Floats) -> Floats:
    """What the layer computes in float32, before its output quantiser."""
    inputs = keras.ops.convert_to_tensor(values.astype(np.float32))
    if type(layer).__name__ == "QAffinedUnaryFunctionLUT":
        inputs = inputs * layer.scale + layer.bias
    return np.asarray(keras.ops.convert_to_numpy(layer.activation(inputs)), np.float64)


def lookup(
    context: Lowering, x: Tensor, formats: ElementFormats, function: Callable[[Floats], Floats]
) -> Tensor:
    """`formats.apply(function(x))` through one Gather into the elements' tables, end to end."""
    grid = x.grid
    step = np.where((grid.low == 0) & (grid.high == 0), 0, grid.fraction)
    first = np.ldexp(grid.low, step)
    sizes = (np.ldexp(grid.high, step) - first + 1).astype(np.int64)
    keys = np.stack([first, sizes, step, formats.signed, formats.integer, formats.fraction])
    distinct, which = np.unique(keys.reshape(6, -1), axis=1, return_inverse=True)
    if distinct[1].sum() > _LARGEST_TABLE:
        raise context.unsupported(
            f"tables of {int(distinct[1].sum())} entries in all, the most is {_LARGEST_TABLE}; "
            "quantise the input with fewer bits"
        )
    tables = [_fill(column, formats, function) for column in distinct.T]
    starts = np.cumsum([0, *(len(t) for t in tables)])[:-1]
    start = starts[which.reshape(-1)].reshape(x.shape)
    index = x.raw_values(context.graph, np.ldexp(1.0, step), start - first)
    return _gather(context, x, index, tables, which.reshape(x.shape), start)


def _fill(key: Any, formats: ElementFormats, function: Callable[[Floats], Floats]) -> Floats:
    first, size, step, signed, integer, fraction = key
    inputs = np.ldexp(first + np.arange(int(size)), -int(step))
    k, i, f = (np.asarray(v, np.int64) for v in (signed, integer, fraction))
    one = ElementFormats(k, i, f, formats.rounding, formats.overflow)
    return one.apply(function(inputs))


def _gather(
    context: Lowering, x: Tensor, index: Stored, tables: list[Floats], which: Any, start: Any
) -> Tensor:
    graph = context.graph
    name = index.name
    if x.relu:  # index 0 of an element's table stands for its lowest input, after the ReLU
        name = graph.node("Max", name, context.number(start, index.dtype))
    whole = graph.node("Cast", name, to=7)
    entries = graph.constant(np.concatenate(tables).astype(np.float32), "table")
    out = graph.node("Gather", entries, whole)
    low, high = (np.array([f(t) for t in tables])[which] for f in (np.min, np.max))
    fraction = np.array([Grid.constant(t).fraction.max() for t in tables])[which]
    return Tensor(Grid.of(low, high, fraction), context.where, Stored(out, np.float32))


@handles("QSoftmax")
def softmax(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """exp(x) / sum(exp(x)) as HGQ2 builds it: two tables, a sum and a product."""
    axes = event_axes(layer.axes, len(x.shape))
    if layer.stable:
        x = x.settled(context.graph)
        x = difference(context, largest(context, x, axes, keepdims=True), x)
    exponentials = lower_call(context, layer.exp_table, x, {})
    sums = total(context, exponentials, axes, keepdims=True)
    inverse = lower_call(context, layer.inv_table, sums, {})
    return product(context, exponentials, inverse)
