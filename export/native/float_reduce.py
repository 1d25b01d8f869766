"""Operators that run over axes or windows: sums, extrema, softmax, pools, normalisations."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx

from triggerforge.export.native.float_graph import FloatGraph, as_events, attributes, handles
from triggerforge.export.native.float_moves import constant, squeezed
from triggerforge.export.native.float_windows import outer_pads, padded, steps_and_gaps, windows
from triggerforge.export.native.place import Place

_LARGEST = "V() + INFINITY"
_SUM, _MAXIMUM = "{0} + {1}", "larger({0}, {1})"
_REDUCED = {
    "ReduceL1": _SUM,
    "ReduceL2": _SUM,
    "ReduceMax": _MAXIMUM,
    "ReduceMean": _SUM,
    "ReduceMin": "smaller({0}, {1})",
    "ReduceProd": "{0} * {1}",
    "ReduceSum": _SUM,
    "ReduceSumSquare": _SUM,
}
_BEFORE = {
    "ReduceL1": "absolute({0})",
    "ReduceL2": "{0} * {0}",
    "ReduceSumSquare": "{0} * {0}",
}
"""what is done to every element first"""


@handles(*_REDUCED, "ReduceLogSumExp")
def _reduce(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, told = graph.place(node.input[0]), attributes(node)
    listed = len(node.input) > 1 and node.input[1]
    given = list(constant(graph, node, 1)) if listed else told.get("axes", [])
    if not given and told.get("noop_with_empty_axes", 0):
        return x
    axes = [graph.axis(int(a), x) for a in given or range(x.index.ndim)]
    if node.op_type == "ReduceLogSumExp":
        out = _log_of_sum(graph, x, axes)
    else:
        before = _BEFORE.get(node.op_type)
        terms = graph.elementwise(before, x) if before else x
        out = graph.reduce(terms, axes, _REDUCED[node.op_type])
    if node.op_type == "ReduceMean":
        out = _mean_of(graph, out, x)
    if node.op_type == "ReduceL2":
        out = graph.elementwise("root({0})", out)
    return out if told.get("keepdims", 1) else squeezed(out, axes)


def _mean_of(graph: FloatGraph, total: Place, x: Place) -> Place:
    return graph.elementwise(f"{{0}} * {np.float32(total.index.size / x.index.size)!s}f", total)


def _log_of_sum(graph: FloatGraph, x: Place, axes: Sequence[int]) -> Place:
    largest = graph.reduce(x, axes, _MAXIMUM)
    # an infinite one is left: inf - inf is no number
    finite = graph.elementwise("chosen(equal(absolute({0}), V(INFINITY)), V(), {0})", largest)
    powers = graph.elementwise("exponential({0} - {1})", x, finite)
    total = graph.reduce(powers, axes, _SUM)
    return graph.elementwise("logarithm({0}) + {1}", total, finite)


@handles("Softmax", "LogSoftmax")
def _softmax(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axis = [graph.axis(attributes(node).get("axis", -1), x)]
    less = graph.elementwise("{0} - {1}", x, graph.reduce(x, axis, _MAXIMUM))
    powers = graph.elementwise("exponential({0})", less)
    total = graph.reduce(powers, axis, _SUM)
    if node.op_type == "LogSoftmax":
        return graph.elementwise("{0} - {1}", less, graph.elementwise("logarithm({0})", total))
    return graph.elementwise("{0} / {1}", powers, total)


@handles("LayerNormalization")
def _layer_normalization(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, told = graph.place(node.input[0]), attributes(node)
    first = graph.axis(told.get("axis", -1), x)
    axes = [graph.axis(a, x) for a in range(first, x.index.ndim)]
    scaled = _normalised(graph, x, axes, told.get("epsilon", 1e-5))
    scaled = graph.elementwise("{0} * {1}", scaled, graph.place(node.input[1]))
    if len(node.input) < 3 or not node.input[2]:
        return scaled
    return graph.elementwise("{0} + {1}", scaled, graph.place(node.input[2]))


@handles("InstanceNormalization")
def _instance_normalization(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axes = [graph.axis(a, x) for a in range(2, x.index.ndim)]
    scaled = _normalised(graph, x, axes, attributes(node).get("epsilon", 1e-5))
    alike = [constant(graph, node, i).reshape(-1, *[1] * len(axes)) for i in (1, 2)]
    return graph.elementwise("{0} * {1} + {2}", scaled, *map(graph.literal, alike))


def _normalised(graph: FloatGraph, x: Place, axes: list[int], epsilon: float) -> Place:
    """x with mean 0 and variance 1 over the axes."""
    mean = _mean_of(graph, graph.reduce(x, axes, _SUM), x)
    centred = graph.elementwise("{0} - {1}", x, mean)
    squares = graph.reduce(graph.elementwise("{0} * {0}", centred), axes, _SUM)
    variance = _mean_of(graph, squares, x)
    factor = graph.elementwise(f"1.0f / root({{0}} + {epsilon!r}f)", variance)
    return graph.elementwise("{0} * {1}", centred, factor)


@handles("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axes = [graph.axis(a, x) for a in range(2, x.index.ndim)]
    if node.op_type == "GlobalMaxPool":
        return graph.reduce(x, axes, _MAXIMUM)
    return _mean_of(graph, graph.reduce(x, axes, _SUM), x)


@handles("AveragePool", "MaxPool")
def _pool(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    told, x = attributes(node), graph.one_event(node.input[0])
    lengths, largest = told["kernel_shape"], node.op_type == "MaxPool"
    inside = x.shape[1:]
    pads = outer_pads(graph, told, inside, lengths)
    more = _beyond(told, inside, pads)
    n = len(lengths)
    wide = [*pads[:n], *(a + b for a, b in zip(pads[n:], more, strict=True))]
    x = padded(graph, x, wide, f"-({_LARGEST})" if largest else "V()")
    taken = windows(x, lengths, told)
    inner = list(range(taken.index.ndim - n, taken.index.ndim))
    out = squeezed(graph.reduce(taken, inner, _MAXIMUM if largest else _SUM), inner)
    if not largest:
        counted = np.zeros((1, *x.shape[1:]))
        ends = wide if not told.get("count_include_pad", 0) else [*[0] * n, *more]
        sides = zip(ends[:n], ends[n:], x.shape[1:], strict=True)
        inner_part = tuple(slice(a, length - b) for a, b, length in sides)
        counted[0][inner_part] = 1
        parts = windows(Place("", counted.astype(np.int64)), lengths, told).index.sum(tuple(inner))
        if (parts == prod(lengths)).all():
            out = graph.elementwise(f"{{0}} * {np.float32(1 / prod(lengths))!s}f", out)
        else:
            out = graph.elementwise("{0} * {1}", out, graph.literal(1 / parts))
    return as_events(out)


def _beyond(told: dict[str, Any], inside: Sequence[int], pads: list[int]) -> list[int]:
    """Elements behind the padded end that the last window sees where sizes are rounded up."""
    lengths = told["kernel_shape"]
    n = len(lengths)
    if not told.get("ceil_mode", 0):
        return [0] * n
    more = []
    for axis, (step, gap) in enumerate(zip(*steps_and_gaps(told, n), strict=True)):
        whole = inside[axis] + pads[axis] + pads[n + axis]
        seen = (lengths[axis] - 1) * gap + 1
        count = -(-(whole - seen) // step) + 1
        if (count - 1) * step >= inside[axis] + pads[axis]:  # it would begin behind the elements
            count -= 1
        more.append(max(0, (count - 1) * step + seen - whole))
    return more
