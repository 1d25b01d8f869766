"""Sums, maxima and products of two variable tensors over axes of an event."""

from typing import Any

import numpy as np

from triggerforge.export.grid import Grid, exact_type, max_plus
from triggerforge.export.handlers import handles
from triggerforge.export.layers.dense import expand
from triggerforge.export.layers.merge import product, scaled, stored_with
from triggerforge.export.layers.shape import reshaped
from triggerforge.export.linear import common_exponent
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor, cast


@handles("QSum", "QMeanPow2")
def pooled_sum(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """The sum over the layer's axes, times a power of two."""
    axes = event_axes(layer.axes, len(x.shape))
    return scaled(total(context, x, axes, layer.keepdims), float(layer.scale))


@handles("Sum")
def keras_sum(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """`keras.ops.sum`."""
    return total(context, x, event_axes(layer.axis, len(x.shape)), layer.keepdims)


@handles("Max", "Amax")
def keras_max(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """`keras.ops.max`."""
    return largest(context, x, event_axes(layer.axis, len(x.shape)), layer.keepdims)


def event_axes(axes: Any, rank: int) -> tuple[int, ...]:
    """Axes of a batch, as Keras counts them, to axes of one event (None: all of them)."""
    if axes is None:
        return tuple(range(rank))
    axes = (axes,) if isinstance(axes, int) else axes
    return tuple(sorted(a + rank if a < 0 else a - 1 for a in axes))


def total(context: Lowering, x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The sum of x over `axes` of the event."""
    exponent, source = _common(context, x, axes)
    low, high, reach = (
        v.sum(axis=axes, keepdims=keepdims) for v in (x.grid.low, x.grid.high, x.grid.magnitude)
    )
    fraction = x.grid.fraction.max(axis=axes, keepdims=keepdims)
    dtype = exact_type(reach, fraction, context.where)
    axes_name = context.graph.constant(np.array([a + 1 for a in axes], np.int64), "axes")
    name = context.graph.node(
        "ReduceSum", cast(context.graph, source, dtype).name, axes_name, keepdims=int(keepdims)
    )
    exponent = exponent if keepdims else np.squeeze(exponent, axis=axes)
    return Tensor(Grid.of(low, high, fraction), context.where, Stored(name, dtype), exponent)


def largest(context: Lowering, x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """The maximum of x over `axes` of the event."""
    exponent, source = _common(context, x, axes)
    name = context.graph.node(
        "ReduceMax", source.name, axes=[a + 1 for a in axes], keepdims=int(keepdims)
    )
    grid = x.grid.map(lambda v: v.max(axis=axes, keepdims=keepdims))
    exponent = exponent if keepdims else np.squeeze(exponent, axis=axes)
    return Tensor(grid, context.where, Stored(name, source.dtype), exponent)


def _common(context: Lowering, x: Tensor, axes: tuple[int, ...]) -> tuple[Any, Stored]:
    """x as an ONNX value whose exponent is the same along `axes`, and that exponent."""
    x = x.settled(context.graph)
    exponent = common_exponent(x, tuple(a for a in range(len(x.shape)) if a not in axes))
    return exponent, x.values(context.graph, np.ldexp(1.0, exponent))


@handles("QEinsum", "Einsum")
def einsum(context: Lowering, layer: Any, inputs: Any, *others: Tensor) -> Tensor:
    """The einsum of two tensors that both depend on the event."""
    a, b = [inputs, *others] if isinstance(inputs, Tensor) else inputs
    equation = getattr(layer, "equation", None) or layer.subscripts
    (left, right), out = expand(equation, [len(a.shape) + 1, len(b.shape) + 1])
    if not left[0] == right[0] == out[0]:
        raise context.unsupported(f"einsum {equation!r} mixes the events of a batch")
    return contract(context, f"{left},{right}->{out}", a, b)


def contract(context: Lowering, equation: str, a: Tensor, b: Tensor) -> Tensor:
    """einsum(equation, a, b); the first letter of each term is the batch axis."""
    terms, out = equation.split("->")
    left, right = terms.split(",")
    if out == left and set(right) <= set(left) and list(right) == sorted(right, key=left.index):
        # nothing is summed: a product, one of whose factors is repeated
        shape = tuple(n if c in right else 1 for c, n in zip(left[1:], a.shape, strict=True))
        return product(context, a, reshaped(context, b, shape))
    event = f"{left[1:]},{right[1:]}->{out[1:]}"

    def sums(u: Any, v: Any) -> Any:
        return np.einsum(event, u, v, optimize=True)

    reach = sums(a.grid.magnitude, b.grid.magnitude)
    positive = bool(np.all(a.grid.low >= 0) and np.all(b.grid.low >= 0))
    fraction = max_plus(a.grid.fraction, b.grid.fraction, sums)
    dtype = exact_type(reach, fraction, context.where)
    sources = [_level(context, x) for x in (a, b)]
    names = [cast(context.graph, s, dtype).name for s, _ in sources]
    name = _operator(context, equation, names)
    exponent = np.full(reach.shape, sum(e for _, e in sources))
    grid = Grid.of(np.zeros_like(reach) if positive else -reach, reach, fraction)
    return Tensor(grid, context.where, Stored(name, dtype), exponent)


def _operator(context: Lowering, equation: str, names: list[str]) -> str:
    left, rest = equation.split(",")
    right, out = rest.split("->")
    matmul = len(left) == len(right) >= 2 and left[:-2] == right[:-2]
    if matmul and left[-1] == right[-2] and out == left[:-1] + right[-1]:
        return context.graph.node("MatMul", *names)
    return context.graph.node("Einsum", *names, equation=equation)


def _level(context: Lowering, x: Tensor) -> tuple[Stored, int]:
    """x as an ONNX value of one exponent throughout, and that exponent."""
    x = x.settled(context.graph)
    exponent = int(stored_with(context, x)[1].max())
    return x.values(context.graph, np.full((), np.ldexp(1.0, exponent))), exponent


@handles("QDot", "Dot")
def dot(context: Lowering, layer: Any, inputs: Any) -> Tensor:
    """The sum of products along one axis of each of the two inputs."""
    a, b = inputs
    ranks = len(a.shape) + 1, len(b.shape) + 1
    axes = (layer.axes, layer.axes) if isinstance(layer.axes, int) else tuple(layer.axes)
    letters = "abcdefghijklmnopqrstuvwxyz"
    left = letters[: ranks[0]]
    right = list(left[0] + letters[ranks[0] : ranks[0] + ranks[1] - 1])
    shared = left[axes[0] % ranks[0]]
    right[axes[1] % ranks[1]] = shared
    out = left.replace(shared, "") + "".join(c for c in right[1:] if c != shared)
    return contract(context, f"{left},{''.join(right)}->{out}", a, b)
