"""Operators whose elements an event chooses by itself: the nearest neighbours and what they carry."""

import numpy as np
import onnx

from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.float_moves import constant, squeezed
from triggerforge.export.native.place import Affine, Place


@handles("TopK")
def _first(graph: FloatGraph, node: onnx.NodeProto) -> list[Place]:
    x, told = graph.place(node.input[0]), attributes(node)
    axis = graph.axis(told.get("axis", -1), x)
    count = int(constant(graph, node, 1).item())
    return _in_order(graph, x, axis, count, bool(told.get("largest", 1)))


@handles("ArgMax", "ArgMin")
def _extreme(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, told = graph.place(node.input[0]), attributes(node)
    if told.get("select_last_index", 0):
        raise graph.unsupported("the last of equal elements: only the first one is known")
    axis = graph.axis(told.get("axis", 0), x)
    if node.op_type == "ArgMin":  # a NaN is first for both
        x = graph.elementwise("-{0}", x)
    out = _in_order(graph, x, axis, 1, True)[1]
    return out if told.get("keepdims", 1) else squeezed(out, [axis])


def _in_order(graph: FloatGraph, x: Place, axis: int, count: int, largest: bool) -> list[Place]:
    """The first `count` values along the axis, and their indices."""
    length = x.shape[axis]
    if not 0 < count <= length:
        raise graph.unsupported(f"{count} of {length} elements")
    x, layout = graph.strided(x)
    shape = [count if a == axis else n for a, n in enumerate(x.shape)]
    values, places = graph.new(shape), graph.new(shape)
    step = values.affine()
    assert step is not None
    rows = [(p.buffer, _without(p, axis)) for p in (x, places)]
    first = Place(values.buffer, np.asarray(values.index.take(0, axis)))
    what = f"{length}, {count}, {'true' if largest else 'false'}"
    graph.loop(
        first,
        rows,
        f"first_of<{what}>(&{{0}}, {layout.strides[axis]}, &{{out}}, &{{1}}, {step.strides[axis]});",
    )
    return [p.of_events(x) for p in (values, places)]


def _without(x: Place, axis: int) -> Affine:
    layout = Place(x.buffer, np.asarray(x.index.take(0, axis))).affine()
    assert layout is not None
    return layout


@handles("GatherElements")
def _gather_elements(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, chosen = (graph.place(name) for name in node.input)
    axis = graph.axis(attributes(node).get("axis", 0), x)
    known = graph.constant(node.input[1])
    cut = tuple(slice(None if a == axis else n) for a, n in enumerate(chosen.shape))
    x = x.at(x.index[cut])
    if known is not None and x.events is not None and known.shape[x.events] == 1:
        wide = np.broadcast_to(known, chosen.shape)
        return x.at(np.take_along_axis(x.index, wide.astype(np.int64), axis))
    x, layout = graph.strided(x)
    strides = [0 if a == axis else s for a, s in enumerate(layout.strides)]
    begin = x.at(x.index.take([0], axis))
    return _chosen(graph, x, axis, Affine(layout.offset, tuple(strides)), chosen, [begin, chosen])


@handles("Gather")
def _gather(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axis = graph.axis(attributes(node).get("axis", 0), x)
    known = graph.constant(node.input[1])
    if known is None:
        return _gather_computed(graph, x, axis, graph.place(node.input[1]), 0)
    if ((known < -x.shape[axis]) | (known >= x.shape[axis])).any():
        raise graph.unsupported(f"index {known} of {x.shape[axis]} elements")
    index = np.take(x.index, known, axis)
    behind = x.events is not None and x.events > axis
    events = None if x.events is None else x.events + (known.ndim - 1 if behind else 0)
    return Place(x.buffer, index, events, x.inner)


@handles("GatherND")
def _gather_nd(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, chosen = (graph.place(name) for name in node.input)
    batch, rows = attributes(node).get("batch_dims", 0), attributes(node).get("rows_of_event")
    if rows is not None and (x.events, x.inner, x.shape[0]) == (0, rows, rows):
        x = Place(x.buffer, x.index)  # the rows of one event
    if chosen.shape[-1] != 1 or batch > 1 or (batch and (x.shape[0] != 1 or x.events)):
        raise graph.unsupported("indices into more than one axis, or for every element of an axis")
    return _gather_computed(graph, x, batch, squeezed(chosen, [chosen.index.ndim - 1]), batch)


def _gather_computed(graph: FloatGraph, x: Place, axis: int, chosen: Place, shared: int) -> Place:
    """x with its axis replaced by the axes of `chosen` behind the first `shared`, which x has too."""
    graph.axis(axis, x)
    x, layout = graph.strided(x)
    new, rank = chosen.index.ndim - shared, x.index.ndim
    # both in the axes of the result: before, those of `chosen`, behind
    wide = chosen.index[(*[None] * (axis - shared), ..., *[None] * (rank - axis - 1))]
    events = None if chosen.events is None else chosen.events + axis - shared
    chosen = Place(chosen.buffer, wide, events, chosen.inner)
    begin = np.expand_dims(x.index.take(0, axis), tuple(range(axis, axis + new)))
    at = x.events
    at = at + new - 1 if at is not None and at > axis else at
    first = Place(x.buffer, begin, at, x.inner)
    strides = (*layout.strides[:axis], *[0] * new, *layout.strides[axis + 1 :])
    shape = graph.broadcast(begin.shape, wide.shape)
    spread = chosen.at(np.broadcast_to(wide, shape))
    return _chosen(graph, x, axis, Affine(layout.offset, strides), spread, [first, chosen])


def _chosen(
    graph: FloatGraph, x: Place, axis: int, begin: Affine, chosen: Place, operands: list[Place]
) -> Place:
    """x[…, index, …] for every index of `chosen`; `begin` says where its index 0 is."""
    chosen, layout = graph.strided(chosen)
    stride = (
        x.index.take(min(1, x.shape[axis] - 1), axis).ravel()[0] - x.index.take(0, axis).ravel()[0]
    )
    out = graph.new(chosen.shape)
    graph.loop(
        out,
        [(x.buffer, begin), (chosen.buffer, layout)],
        f"{{out}} = element<{x.shape[axis]}>(&{{0}}, {stride}, {{1}});",
    )
    return Place(out.buffer, out.index, *graph.common(out.shape, operands))
