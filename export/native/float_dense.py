"""Layers of products: Gemm, MatMul with constant weights, and convolutions, all one kernel.

A dense layer is a convolution over a line of rows with a window of one. Where weights are not
constant the product is a sum over a broadcast axis.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.export.native.float_graph import FloatGraph, attributes, handles
from triggerforge.export.native.place import Affine, Place


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
    axis = products.index.ndim - 2
    summed = graph.reduce(products, [axis], "V()", "{out} + {0}")
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
    result = graph.products(
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
    result = graph.products(
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


def padded(graph: FloatGraph, x: Place, pads: list[int], value: str) -> Place:
    """x (channels, …) with `value` around it, as ONNX's `pads` says: all begins, then all ends."""
    if not any(pads):
        return x
    sides = list(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True))
    shape = [x.shape[0], *(n + a + b for n, (a, b) in zip(x.shape[1:], sides, strict=True))]
    _, layout = graph.strided(x)
    out = graph.filled(shape, layout, value)
    inside = (slice(None), *(slice(a, a + n) for n, (a, _) in zip(x.shape[1:], sides, strict=True)))
    graph.copy_into(Place(out.buffer, out.index[inside]), x)
    return out
