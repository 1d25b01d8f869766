"""What the other ONNX operators do to the tensors of one event."""

from typing import Any

import numpy as np
import onnx

from triggerforge.export.native.float_dense import padded
from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.place import Place

_LARGEST = "V() + INFINITY"
_ONE = {
    "Abs": "absolute({0})",
    "Exp": "exponential({0})",
    "Identity": "{0}",
    "Neg": "-{0}",
    "Reciprocal": "1.0f / {0}",
    "Relu": "rectified({0})",
    "Sigmoid": "1.0f / (1.0f + exponential(-{0}))",
    "Sqrt": "root({0})",
    "Tanh": "hyperbolic_tangent({0})",
}
_TWO = {
    "Add": "{0} + {1}",
    "Div": "{0} / {1}",
    "Max": "larger({0}, {1})",
    "Min": "smaller({0}, {1})",
    "Mul": "{0} * {1}",
    "Sub": "{0} - {1}",
}
_COMBINED = {
    "ReduceMax": "larger({0}, {1})",
    "ReduceMean": "{0} + {1}",
    "ReduceMin": "smaller({0}, {1})",
    "ReduceSum": "{0} + {1}",
    "ReduceSumSquare": "{0} + {1}",
}


@handles(*_ONE)
def _one(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    return graph.elementwise(_ONE[node.op_type], graph.place(node.input[0]))


@handles(*_TWO)
def _two(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    return graph.elementwise(_TWO[node.op_type], *_alike(graph, node))


@handles("LeakyRelu")
def _leaky(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    slope = attributes(node).get("alpha", 0.01)
    return graph.elementwise(
        f"larger({{0}}, V()) + {slope!r}f * smaller({{0}}, V())", graph.place(node.input[0])
    )


@handles("Clip")
def _clip(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    for name, kind in zip(node.input[1:], ("larger", "smaller"), strict=False):
        if name:
            x = graph.elementwise(f"{kind}({{0}}, {{1}})", x, graph.place(name))
    return x


@handles("Pow")
def _power(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    exponent = graph.constant(node.input[1])
    if exponent is None or exponent.size != 1 or exponent.item() != 2:
        raise graph.unsupported("powers other than squares")
    return graph.elementwise("{0} * {0}", graph.place(node.input[0]))


@handles("Reshape", "Flatten")
def _reshape(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    if node.op_type == "Flatten":
        shape = [-1]
    else:
        wanted = _constant(graph, node, 1).tolist()
        shape = [x.shape[i - 1] if n == 0 else n for i, n in enumerate(wanted)][1:]
    try:
        return Place(x.buffer, x.index.reshape(shape))
    except ValueError as error:
        raise graph.unsupported(
            f"events become {shape}: elements of one event are {x.shape}"
        ) from error


@handles("Squeeze")
def _squeeze(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axes = tuple(graph.axis(int(a), x.index.ndim) for a in _constant(graph, node, 1))
    return Place(x.buffer, x.index.squeeze(axes))


@handles("Unsqueeze")
def _unsqueeze(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axes = _constant(graph, node, 1)
    own = tuple(graph.axis(int(a), x.index.ndim + len(axes)) for a in axes)
    return Place(x.buffer, np.expand_dims(x.index, own))


@handles("Transpose")
def _transpose(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    order = [graph.axis(int(a), x.index.ndim) for a in attributes(node)["perm"][1:]]
    return Place(x.buffer, x.index.transpose(order))


@handles("Slice")
def _slice(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    starts, ends, axes = (_constant(graph, node, i) for i in (1, 2, 3))
    steps = _constant(graph, node, 4) if len(node.input) > 4 else np.ones_like(starts)
    cut = [slice(None)] * x.index.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # towards the front, an end before the first element has no positive number
        stop = (
            None if step < 0 and end < -x.shape[graph.axis(int(axis), x.index.ndim)] else int(end)
        )
        cut[graph.axis(int(axis), x.index.ndim)] = slice(int(start), stop, int(step))
    return Place(x.buffer, x.index[tuple(cut)])


@handles("Gather")
def _gather(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axis = graph.axis(attributes(node).get("axis", 0), x.index.ndim)
    return Place(x.buffer, np.take(x.index, _constant(graph, node, 1), axis))


@handles("Concat")
def _concat(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    parts = _alike(graph, node)
    axis = graph.axis(attributes(node)["axis"], parts[0].index.ndim)
    shape = list(parts[0].shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    out = graph.new(shape)
    begin = 0
    for part in parts:
        end = begin + part.shape[axis]
        where = np.take(out.index, range(begin, end), axis)
        graph.copy_into(Place(out.buffer, where), part)
        begin = end
    return out


@handles(*_COMBINED)
def _reduce(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x, told = graph.place(node.input[0]), attributes(node)
    given = _constant(graph, node, 1) if len(node.input) > 1 else told.get("axes")
    if given is None:
        raise graph.unsupported("it runs over the axis that counts events")
    axes = [graph.axis(int(a), x.index.ndim) for a in given]
    count = x.index.size
    if node.op_type == "ReduceSumSquare":
        x = graph.elementwise("{0} * {0}", x)
    out = graph.reduce(x, axes, _COMBINED[node.op_type])
    if node.op_type == "ReduceMean":
        out = _scaled(graph, out, count // out.index.size)
    return out if told.get("keepdims", 1) else Place(out.buffer, out.index.squeeze(tuple(axes)))


@handles("Softmax")
def _softmax(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    x = graph.place(node.input[0])
    axis = [graph.axis(attributes(node).get("axis", -1), x.index.ndim)]
    largest = graph.reduce(x, axis, _COMBINED["ReduceMax"])
    powers = graph.elementwise("exponential({0} - {1})", x, largest)
    total = graph.reduce(powers, axis, _COMBINED["ReduceSum"])
    return graph.elementwise("{0} / {1}", powers, total)


@handles("AveragePool", "MaxPool")
def _pool(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    told, x = attributes(node), graph.place(node.input[0])
    lengths = told["kernel_shape"]
    axes = range(1, 1 + len(lengths))
    largest = node.op_type == "MaxPool"
    pads = told.get("pads", [])
    average_inside = any(pads) and not largest and not told.get("count_include_pad", 0)
    if told.get("ceil_mode", 0) or average_inside or any(d != 1 for d in told.get("dilations", [])):
        raise graph.unsupported("pools of whole windows only, padding counted")
    x = padded(graph, x, pads, f"-({_LARGEST})" if largest else "V()")
    windows = np.lib.stride_tricks.sliding_window_view(x.index, lengths, tuple(axes))
    steps = told.get("strides", [1] * len(lengths))
    windows = windows[(slice(None), *(slice(None, None, s) for s in steps))]
    inner = list(range(windows.ndim - len(lengths), windows.ndim))
    kind = "ReduceMax" if largest else "ReduceSum"
    out = graph.reduce(Place(x.buffer, windows), inner, _COMBINED[kind])
    out = Place(out.buffer, out.index.squeeze(tuple(inner)))
    return out if largest else _scaled(graph, out, int(np.prod(lengths)))


def _scaled(graph: FloatGraph, x: Place, parts: int) -> Place:
    return graph.elementwise(f"{{0}} * {np.float32(1 / parts)!s}f", x)


def _alike(graph: FloatGraph, node: onnx.NodeProto) -> list[Place]:
    """The inputs, one of which may be a constant of fewer axes."""
    ranks = {len(graph.place(n).shape) for n in node.input if graph.constant(n) is None}
    if len(ranks) != 1:
        raise graph.unsupported("its inputs have different numbers of axes")
    (rank,) = ranks
    return [graph.place(name, rank) for name in node.input]


def _constant(graph: FloatGraph, node: onnx.NodeProto, number: int) -> Any:
    values = graph.constant(node.input[number])
    if values is None:
        raise graph.unsupported("its arguments are no constants")
    return values
