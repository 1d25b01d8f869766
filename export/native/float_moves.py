"""Operators that take elements elsewhere: most only say where they lie, and copy nothing."""

from math import prod
from typing import Any

import numpy as np
import onnx

from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.float_settle import EVENTS
from triggerforge.export.native.place import Place


@handles("Reshape")
def _reshape(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    whole = _with_events(x)
    wanted = constant(graph, node, 1).tolist()
    if not attributes(node).get("allowzero", 0):
        wanted = [whole[i] if n == 0 else n for i, n in enumerate(wanted)]
    return _reshaped(graph, x, wanted)


@handles("Flatten")
def _flatten(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    whole, axis = _with_events(x), attributes(node).get("axis", 1)
    return _reshaped(graph, x, [prod(whole[:axis]), prod(whole[axis:])])


def _with_events(x: Place) -> list[int]:
    """The ONNX tensor's shape."""
    return [n * (EVENTS if axis == x.events else 1) for axis, n in enumerate(x.shape)]


def _reshaped(graph: FloatGraph, x: Place, wanted: list[int]) -> Place:
    """x in another shape, one axis of which may be -1.

    Raises UnsupportedOperationError where no axis of it counts events, with others inside or not.
    """
    whole = _with_events(x)
    rest = prod(n for n in wanted if n != -1)
    if -1 in wanted and rest:
        wanted = [prod(whole) // rest if n == -1 else n for n in wanted]
    if prod(wanted) != prod(whole):
        raise graph.unsupported(f"elements of shape {x.shape} of one event become {wanted}")
    if x.events is None:
        return Place(x.buffer, x.index.reshape(wanted))
    inside = x.inner * prod(x.shape[x.events + 1 :])  # elements from one event to the next
    for axis, length in enumerate(wanted):
        after = prod(wanted[axis + 1 :])
        if (
            length % EVENTS == 0
            and inside % after == 0
            and length // EVENTS % (inside // after) == 0
        ):
            own = [*wanted[:axis], length // EVENTS, *wanted[axis + 1 :]]
            return Place(x.buffer, x.index.reshape(own), axis, inside // after)
    raise graph.unsupported("elements of several events would share an axis with none that counts")


@handles("Squeeze")
def _squeeze(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    if len(node.input) > 1:
        axes = [graph.axis(int(a), x) for a in constant(graph, node, 1)]
        if any(x.shape[a] != 1 for a in axes):
            raise graph.unsupported(f"axes {axes} of {x.shape} are not all of length 1")
    else:
        axes = [a for a, n in enumerate(x.shape) if n == 1 and a != x.events]
    return squeezed(x, axes)


def squeezed(x: Place, axes: list[int]) -> Place:
    """x without the axes, all of which have length 1."""
    events = None if x.events is None else x.events - sum(a < x.events for a in axes)
    return Place(x.buffer, x.index.squeeze(tuple(axes)), events, x.inner)


@handles("Unsqueeze")
def _unsqueeze(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axes = constant(graph, node, 1)
    rank = x.index.ndim + len(axes)
    new = {int(a) % rank for a in axes}
    kept = [a for a in range(rank) if a not in new]
    events = None if x.events is None else kept[x.events]
    return Place(x.buffer, np.expand_dims(x.index, tuple(new)), events, x.inner)


@handles("Transpose")
def _transpose(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    order = list(attributes(node).get("perm", range(x.index.ndim)[::-1]))
    events = None if x.events is None else order.index(x.events)
    return Place(x.buffer, x.index.transpose(order), events, x.inner)


@handles("Slice")
def _slice(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    starts, ends = (constant(graph, node, i).tolist() for i in (1, 2))
    given = [bool(name) for name in node.input]
    axes = constant(graph, node, 3).tolist() if given[3:4] == [True] else range(len(starts))
    steps = constant(graph, node, 4).tolist() if given[4:5] == [True] else [1] * len(starts)
    cut = [slice(None)] * x.index.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % x.index.ndim == x.events and start == 0 and end >= EVENTS and step == 1:
            continue  # all events
        # a step backwards past the first element: Python's slices have the same rule as ONNX
        cut[graph.axis(axis, x)] = slice(start, end, step)
    return x.at(x.index[tuple(cut)])


@handles("Split")
def _split(graph: FloatGraph, node: onnx.NodeProto) -> list[Place]:
    x, told = graph.place(node.input[0]), attributes(node)
    axis = graph.axis(told.get("axis", 0), x)
    if len(node.input) > 1 and node.input[1]:
        ends = np.cumsum(constant(graph, node, 1))[:-1].tolist()
    else:
        parts = told.get("num_outputs", len(node.output))
        ends = [-(-x.shape[axis] // parts) * i for i in range(1, parts)]
    return [x.at(part) for part in np.split(x.index, ends, axis)]


@handles("Concat")
def _concat(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    parts = [graph.place(name) for name in node.input]
    parts = [p for p in parts if p.index.size]
    axis = {graph.axis(attributes(node)["axis"], p) for p in parts}.pop()
    others = [np.delete(p.shape, axis).tolist() for p in parts]
    shape = list(graph.broadcast(*map(tuple, others)))
    shape.insert(axis, sum(p.shape[axis] for p in parts))
    out = graph.new(shape)
    begin = 0
    for part in parts:
        end = begin + part.shape[axis]
        where = np.take(out.index, range(begin, end), axis)
        graph.copy_into(out.at(where), part.at(np.broadcast_to(part.index, where.shape)))
        begin = end
    aligned = [p.at(p.index.take([0], axis)) for p in parts]
    return Place(out.buffer, out.index, *graph.common(shape, aligned))


@handles("Expand")
def _expand(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    wanted = graph.broadcast(tuple(_with_events(x)), tuple(constant(graph, node, 1).tolist()))
    events = None if x.events is None else x.events + len(wanted) - x.index.ndim
    own = [n if n % EVENTS or not n else 1 for n in wanted]  # the same for every event
    if events is not None:
        own[events] = wanted[events] // EVENTS
    return Place(x.buffer, np.broadcast_to(x.index, own), events, x.inner)


@handles("Tile")
def _tile(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, times = graph.place(node.input[0]), constant(graph, node, 1).tolist()
    for axis, n in enumerate(times):
        if n != 1:
            graph.axis(axis, x)
    return x.at(np.tile(x.index, times))


@handles("Pad")
def _pad(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, mode = graph.place(node.input[0]), attributes(node).get("mode", b"constant").decode()
    rank = x.index.ndim
    given = constant(graph, node, 1).reshape(2, -1).T
    named = len(node.input) > 3 and node.input[3]
    axes = constant(graph, node, 3).tolist() if named else range(rank)
    sides = np.zeros((rank, 2), int)
    for axis, side in zip(axes, given, strict=True):
        if side.any():
            sides[graph.axis(axis, x)] = side
    cut = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(sides, x.shape, strict=True))
    inner, outer = x.at(x.index[cut]), np.maximum(sides, 0)
    if mode != "constant":
        return x.at(np.pad(inner.index, outer, mode=mode))
    value = constant(graph, node, 2).item() if node.input[2:3] not in ([], [""]) else 0.0
    out, around = graph.new(tuple(outer.sum(1) + inner.shape)), graph.literal(np.asarray(value))
    graph.copy_into(out, around.at(np.broadcast_to(around.index, out.shape)))
    where = tuple(slice(a, a + n) for (a, _), n in zip(outer, inner.shape, strict=True))
    graph.copy_into(out.at(out.index[where]), inner)
    return out.of_events(x)


@handles("Resize")
def _resize(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, told = graph.place(node.input[0]), attributes(node)
    how = [told.get(name) for name in ("mode", "coordinate_transformation_mode", "nearest_mode")]
    if how != [b"nearest", b"asymmetric", b"floor"] or len(node.input) != 3:
        raise graph.unsupported("only the nearest element to the left, by a constant factor")
    index = x.index
    for axis, scale in enumerate(constant(graph, node, 2).tolist()):
        if scale != 1:
            n = x.shape[graph.axis(axis, x)]
            index = index.take((np.arange(int(n * scale)) / scale).astype(int), axis)
    return x.at(index)


def constant(graph: FloatGraph, node: onnx.NodeProto, number: int) -> Any:
    """The values of an argument that must not depend on the event."""
    values = graph.constant(node.input[number])
    if values is None:
        raise graph.unsupported("its arguments are no constants")
    return values
