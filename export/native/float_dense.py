"""Layers of products: Gemm, MatMul with constant weights, and convolutions, all one kernel.

A dense layer is a convolution over a line of rows with a window of one. Where weights are not
constant the product is a sum over a broadcast axis.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.place import Affine, Place, row_major

PADDING = 16
"""floats in the widest register: rows of weights and of outputs begin at multiples of it"""


@handles("Gemm")
def _gemm(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    told = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | attributes(node)
    weights = _weights(graph, node)
    if told["transA"]:
        raise graph.unsupported("its input is transposed: events are no rows of it")
    if told["transB"]:
        weights = weights.T
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(1)
    if bias is None:
        raise graph.unsupported("its bias is no constant")
    bias = np.broadcast_to(told["beta"] * bias.ravel(), weights.shape[1:])
    return _rows(graph, node, told["alpha"] * weights, bias)


@handles("MatMul")
def _matmul(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    weights = graph.constant(node.input[1])
    if weights is not None and weights.ndim == 2:
        return _rows(graph, node, weights, np.zeros(weights.shape[1]))
    first, second = (graph.place(name, 2) for name in node.input)
    if first.index.ndim < 2 or second.index.ndim < 2:
        raise graph.unsupported("a product of vectors")
    pairs = (
        Place(first.buffer, first.index[..., :, :, None]),
        Place(second.buffer, second.index[..., None, :, :]),
    )
    products = graph.elementwise("{0} * {1}", *pairs)
    summed = graph.reduce(products, [products.index.ndim - 2], "{0} + {1}")
    return Place(summed.buffer, summed.index[..., 0, :])


@handles("Conv")
def _conv(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    told = attributes(node)
    weights = _weights(graph, node)
    lengths = weights.shape[2:]
    if told.get("group", 1) != 1 or told.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise graph.unsupported("convolutions of one group and with given padding only")
    x = padded(graph, graph.place(node.input[0]), told.get("pads", []), "V()")
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(len(weights))
    if bias is None or len(lengths) > 2:
        raise graph.unsupported("convolutions over one or two axes, with constant bias, only")
    steps = told.get("strides", [1] * len(lengths))
    gaps = told.get("dilations", [1] * len(lengths))
    x, layout = graph.strided(x)
    out = [
        (n - gap * (k - 1) - 1) // step + 1
        for n, k, gap, step in zip(x.shape[1:], lengths, gaps, steps, strict=True)
    ]
    if len(lengths) == 1:  # a picture of one line
        out, lengths, steps, gaps = [1, *out], (1, *lengths), [1, *steps], [1, *gaps]
        layout = Affine(layout.offset, (layout.strides[0], 0, layout.strides[1]))
    channel, *moves = layout.strides
    taps = weights.reshape(*weights.shape[:2], *lengths).transpose(2, 3, 1, 0)
    result = _products(
        graph,
        node,
        Place(x.buffer, np.asarray(layout.offset)),
        taps,
        bias,
        {
            "oy": out[0],
            "ox": out[1],
            "ky": lengths[0],
            "kx": lengths[1],
            "y_step": moves[0] * steps[0],
            "x_step": moves[1] * steps[1],
            "y_tap": moves[0] * gaps[0],
            "x_tap": moves[1] * gaps[1],
            "c_tap": channel,
        },
    )
    shape = (len(weights), *out[2 - len(weights.shape[2:]) :])
    return Place(result.buffer, result.index.transpose(2, 0, 1).reshape(shape))


def _weights(graph: FloatGraph, node: onnx.NodeProto) -> NDArray[Any]:
    weights = graph.constant(node.input[1])
    if weights is None:
        raise graph.unsupported("its weights are no constants")
    return weights


def _rows(
    graph: FloatGraph, node: onnx.NodeProto, weights: NDArray[Any], bias: NDArray[Any]
) -> Place:
    """x (…, in) times weights (in, out)."""
    x = graph.place(node.input[0])
    if x.index.ndim == 1:
        # elements in another order, as a flattened picture has them, need another order of weights
        order = np.argsort(x.index)
        ordered = Place(x.buffer, x.index[order])
        if ordered.affine() is not None:
            x, weights = ordered, weights[order]
    rows = x.shape[:-1]
    flat = Place(x.buffer, x.index.reshape(-1, x.shape[-1]))
    flat, layout = graph.strided(flat)
    result = _products(
        graph,
        node,
        Place(flat.buffer, np.asarray(layout.offset)),
        weights[None, None],
        bias,
        {
            "oy": 1,
            "ox": len(flat.index),
            "ky": 1,
            "kx": 1,
            "y_step": 0,
            "x_step": layout.strides[0],
            "y_tap": 0,
            "x_tap": 0,
            "c_tap": layout.strides[1],
        },
    )
    return Place(result.buffer, result.index.reshape(*rows, -1))


def _products(
    graph: FloatGraph,
    node: onnx.NodeProto,
    start: Place,
    taps: NDArray[Any],
    bias: NDArray[Any],
    layer: dict[str, int],
) -> Place:
    """The kernel's call: weights `taps` (ky, kx, in, out) -> (oy, ox, out)."""
    width = taps.shape[-1]
    whole = -(-width // PADDING) * PADDING
    ends = [(0, 0)] * (taps.ndim - 1) + [(0, whole - width)]
    bias = _bias_that_follows(graph, node, bias)
    relu = _followed_by(graph, node, "Relu")
    if relu is not None:
        graph.takes_along(relu)
    weights = graph.stored(np.pad(taps, ends).astype(np.float32))
    biases = graph.stored(np.pad(bias, (0, whole - width)).astype(np.float32))
    out = _destination(graph, node, (layer["oy"], layer["ox"], width))
    layout = out.affine()
    assert layout is not None
    alone = (
        layer["oy"] == layer["ox"] == 1 and out.buffer != "out" and out.buffer not in graph.frames
    )
    layer = layer | {"ci": taps.shape[2], "co": width, "padded": whole, "exact": int(not alone)}
    layer |= {"y_out": layout.strides[0], "x_out": layout.strides[1], "relu": int(relu is not None)}
    told = ", ".join(f".{name} = {value}" for name, value in layer.items())
    begin, end = f"{start.buffer} + {int(start.index)}", f"{out.buffer} + {layout.offset}"
    graph.emit(f"products<Layer{{{told}}}>({begin}, {weights}, {biases}, {end});")
    return out


def _followed_by(graph: FloatGraph, node: onnx.NodeProto, kind: str) -> onnx.NodeProto | None:
    """The node of this kind that alone reads what the node at hand makes."""
    reader = graph.only_reader(graph.result_name(node))
    return reader if reader is not None and reader.op_type == kind else None


def _bias_that_follows(graph: FloatGraph, node: onnx.NodeProto, bias: NDArray[Any]) -> NDArray[Any]:
    """The bias with that of an addition behind a product, which is then done with."""
    added = _followed_by(graph, node, "Add") if node.op_type == "MatMul" else None
    for name in added.input if added is not None else ():
        values = graph.constant(name)
        if values is not None and values.shape[-1:] == values.ravel().shape == bias.shape:
            assert added is not None
            graph.takes_along(added)
            return bias + values.ravel()
    return bias


def _destination(graph: FloatGraph, node: onnx.NodeProto, shape: tuple[int, int, int]) -> Place:
    """Where a layer writes (oy, ox, out): straight to who reads it, if that can be."""
    name = graph.result_name(node)
    if graph.is_output(name) and node.op_type == "Gemm":
        return row_major("out", shape)
    reader = _followed_by(graph, node, "Conv") if node.op_type == "Conv" else None
    pads = attributes(reader).get("pads", []) if reader is not None else []
    if len(pads) != 4 or not any(pads):
        return graph.new(shape, room=-shape[2] % PADDING)
    top, left, bottom, right = pads
    frame = graph.new((shape[0] + top + bottom, shape[1] + left + right, shape[2]))
    channels_first = Place(frame.buffer, frame.index.transpose(2, 0, 1))
    graph.frames[frame.buffer] = channels_first
    _fill_around(graph, channels_first, pads, "V()")
    return Place(frame.buffer, frame.index[top : top + shape[0], left : left + shape[1]])


def padded(graph: FloatGraph, x: Place, pads: list[int], value: str) -> Place:
    """x (channels, …) with `value` around it, as ONNX's `pads` says: all begins, then all ends."""
    if not any(pads):
        return x
    if x.buffer in graph.frames:
        return graph.frames[x.buffer]
    sides = list(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True))
    shape = [x.shape[0], *(n + a + b for n, (a, b) in zip(x.shape[1:], sides, strict=True))]
    out = graph.new(shape, x.affine())
    _fill_around(graph, out, pads, value)
    graph.copy_into(Place(out.buffer, out.index[_inside(out, pads)]), x)
    return out


def _inside(out: Place, pads: list[int]) -> tuple[slice, ...]:
    sides = zip(out.shape[1:], pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True)
    return (slice(None), *(slice(before, n - after) for n, before, after in sides))


def _fill_around(graph: FloatGraph, out: Place, pads: list[int], value: str) -> None:
    """Fills what lies outside of the tensor, side by side."""
    cut = list(_inside(out, pads))
    for axis in range(1, len(cut)):
        for side in (slice(0, cut[axis].start), slice(cut[axis].stop, None)):
            strip = out.index[(*cut[:axis], side, *(slice(None) for _ in cut[axis + 1 :]))]
            if strip.size:
                graph.fill(Place(out.buffer, strip), value)
