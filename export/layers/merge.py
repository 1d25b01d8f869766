"""Layers of several inputs: add, subtract, multiply, maximum, minimum, concatenate."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from triggerforge.export.grid import Floats, Grid, exact_type
from triggerforge.export.handlers import handles
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor, cast

Interval = Callable[[Grid, Grid], tuple[Floats, Floats]]


@handles("QAdd", "Add")
def add(context: Lowering, layer: Any, inputs: Any, *others: Tensor) -> Tensor:
    """The sum of all inputs."""
    return reduce(lambda a, b: _aligned(context, "Add", a, b), tensors(inputs, others))


@handles("QSubtract", "Subtract")
def subtract(context: Lowering, layer: Any, inputs: Any, *others: Tensor) -> Tensor:
    """The first input less the second."""
    return difference(context, *tensors(inputs, others))


def difference(context: Lowering, a: Tensor, b: Tensor) -> Tensor:
    """a - b."""
    return _aligned(context, "Sub", a, b)


@handles("QMaximum", "Maximum")
def maximum(context: Lowering, layer: Any, inputs: Any, *others: Tensor) -> Tensor:
    """The largest of the inputs, element by element."""
    return reduce(lambda a, b: _aligned(context, "Max", a, b), tensors(inputs, others))


@handles("QMinimum", "Minimum")
def minimum(context: Lowering, layer: Any, inputs: Any, *others: Tensor) -> Tensor:
    """The smallest of the inputs, element by element."""
    return reduce(lambda a, b: _aligned(context, "Min", a, b), tensors(inputs, others))


@handles("QAveragePow2")
def average_pow2(context: Lowering, layer: Any, inputs: Any) -> Tensor:
    """The sum of the inputs times a power of two."""
    return scaled(add(context, layer, inputs), float(layer._scale))


@handles("QMultiply", "Multiply")
def multiply(context: Lowering, layer: Any, inputs: Any, *others: Tensor) -> Tensor:
    """The product of all inputs."""
    return reduce(lambda a, b: product(context, a, b), tensors(inputs, others))


@handles("Concatenate")
def concatenate(context: Lowering, layer: Any, inputs: Any) -> Tensor:
    """The inputs one behind the other along an axis of the event."""
    rank = len(inputs[0].shape)
    axis = layer.axis if layer.axis < 0 else layer.axis - rank - 1
    parts = [stored_with(context, x) for x in inputs]
    dtype = np.result_type(*(s.dtype for s, _ in parts)).type
    names = [cast(context.graph, s, dtype).name for s, _ in parts]
    joined = {
        key: np.concatenate([getattr(x.grid, key) for x in inputs], axis=axis)
        for key in ("low", "high", "fraction")
    }
    exponent = np.concatenate([e for _, e in parts], axis=axis)
    name = context.graph.node("Concat", *names, axis=axis)
    return Tensor(Grid(**joined), context.where, Stored(name, dtype), exponent)


def tensors(inputs: Any, others: tuple[Tensor, ...]) -> list[Tensor]:
    """The inputs of a layer (a list) or of a Keras operation (one argument each)."""
    return [inputs, *others] if isinstance(inputs, Tensor) else list(inputs)


def stored_with(context: Lowering, x: Tensor) -> tuple[Stored, Any]:
    """An ONNX value of x, and its exponents in the shape of one event."""
    x = x.settled(context.graph)
    assert x.stored is not None
    return x.stored, np.broadcast_to(x.exponent, x.shape)


def scaled(x: Tensor, factor: float) -> Tensor:
    """x times a power of two: a change of the exponent only."""
    assert x.stored is not None and np.frexp(factor)[0] == 0.5
    power = int(np.log2(factor))
    grid = Grid.of(x.grid.low * factor, x.grid.high * factor, x.grid.fraction - power)
    return Tensor(grid, x.where, x.stored, x.exponent - power)


def product(context: Lowering, a: Tensor, b: Tensor) -> Tensor:
    """a * b, element by element."""
    corners = [x * y for x in (a.grid.low, a.grid.high) for y in (b.grid.low, b.grid.high)]
    fraction = a.grid.fraction + b.grid.fraction
    grid = Grid.of(np.min(corners, axis=0), np.max(corners, axis=0), fraction)
    dtype = exact_type(grid.magnitude, grid.fraction, context.where)
    (left, left_exponent), (right, right_exponent) = (stored_with(context, x) for x in (a, b))
    names = [cast(context.graph, s, dtype).name for s in (left, right)]
    name = context.graph.node("Mul", *names)
    return Tensor(grid, context.where, Stored(name, dtype), left_exponent + right_exponent)


_INTERVALS: dict[str, Interval] = {
    "Add": lambda a, b: (a.low + b.low, a.high + b.high),
    "Sub": lambda a, b: (a.low - b.high, a.high - b.low),
    "Max": lambda a, b: (np.maximum(a.low, b.low), np.maximum(a.high, b.high)),
    "Min": lambda a, b: (np.minimum(a.low, b.low), np.minimum(a.high, b.high)),
}


def _aligned(context: Lowering, operator: str, a: Tensor, b: Tensor) -> Tensor:
    """An operator whose inputs must stand at the same scale."""
    low, high = _INTERVALS[operator](a.grid, b.grid)
    grid = Grid.of(low, high, np.maximum(a.grid.fraction, b.grid.fraction))
    # the operands, at the finer of the two steps, have to be exact too
    reach = np.maximum(grid.magnitude, np.maximum(a.grid.magnitude, b.grid.magnitude))
    dtype = exact_type(reach, grid.fraction, context.where)
    a, b = a.settled(context.graph), b.settled(context.graph)
    exponent = np.maximum(*(stored_with(context, x)[1] for x in (a, b)))
    scale = np.ldexp(1.0, exponent)
    names = [cast(context.graph, x.values(context.graph, scale), dtype).name for x in (a, b)]
    name = context.graph.node(operator, *names)
    return Tensor(grid, context.where, Stored(name, dtype), exponent)
