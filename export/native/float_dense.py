"""Layers of products: Gemm, MatMul with constant weights, and convolutions, all one kernel.

A dense layer is a convolution over a line of rows with a window of one. Where weights are not
constant, or every group of channels has its own, the product is a sum over a broadcast axis.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.export.native.float_einsum import contraction
from triggerforge.export.native.float_graph import FloatGraph, as_events, attributes, handles
from triggerforge.export.native.float_windows import fill_around, outer_pads, padded, windows
from triggerforge.export.native.place import Affine, Place, row_major


@handles("Gemm")
def _gemm(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    told = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | attributes(node)
    weights = constant_weights(graph, node)
    if told["transA"]:
        raise graph.unsupported("its input is transposed: events are no rows of it")
    if told["transB"]:
        weights = weights.T
    bias = _bias(graph, node, 1)
    bias = np.broadcast_to(told["beta"] * bias.ravel(), weights.shape[1:])
    return _rows(graph, node, told["alpha"] * weights, bias)


@handles("MatMul")
def _matmul(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    weights = graph.constant(node.input[1])
    if weights is not None and weights.ndim == 2:
        return _rows(graph, node, _finite(graph, weights), np.zeros(weights.shape[1]))
    first, second = (graph.place(name) for name in node.input)
    ranks = first.index.ndim, second.index.ndim
    if 0 in ranks:
        raise graph.unsupported("a product of a single number")
    # axes before the last two go together from the right: -3, -4, …
    before = [range(-max(rank, 2), -2) for rank in ranks]
    rows, columns = (["row"] if ranks[0] > 1 else []), (["column"] if ranks[1] > 1 else [])
    return contraction(
        graph,
        (first, [*before[0], *rows, "inner"]),
        (second, [*before[1], "inner", *columns]),
        [*max(before, key=len), *rows, *columns],
    )


@handles("Conv")
def _conv(graph: FloatGraph, node: onnx.NodeProto) -> Place:
    told = attributes(node)
    weights = constant_weights(graph, node)
    lengths = weights.shape[2:]
    if len(lengths) > 2:
        raise graph.unsupported("convolutions over more than two axes")
    x = graph.one_event(node.input[0])
    x = padded(graph, x, outer_pads(graph, told, x.shape[1:], lengths), "V()")
    bias = _bias(graph, node, len(weights))
    if told.get("group", 1) != 1:
        return _in_groups(graph, x, weights, bias, told)
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
    return as_events(Place(result.buffer, result.index.transpose(2, 0, 1).reshape(shape)))


def _in_groups(
    graph: FloatGraph, x: Place, weights: NDArray[Any], bias: NDArray[Any], told: dict[str, Any]
) -> Place:
    """A convolution in which every group of channels sees its own inputs only."""
    groups, lengths = told["group"], weights.shape[2:]
    # (group, channel of it, …, tap, …)
    taken = windows(x, lengths, told).index
    taken = taken.reshape(groups, 1, -1, *taken.shape[1:])
    own = weights.reshape(groups, -1, *weights.shape[1:])
    n = len(lengths)
    kept = [0, 1, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n)]
    own = own.reshape(*own.shape[:3], *[1] * n, *lengths).transpose(kept)
    start = graph.literal(bias.reshape(groups, -1, *[1] * n))
    out = graph.contract(x.at(taken.transpose(kept)), graph.literal(own), 1 + n, start)
    return as_events(out.at(out.index.reshape(len(weights), *out.shape[2:])))


def constant_weights(graph: FloatGraph, node: onnx.NodeProto, number: int = 1) -> NDArray[Any]:
    """An input that must be a constant of finite numbers."""
    weights = graph.constant(node.input[number])
    if weights is None:
        raise graph.unsupported("its weights are no constants")
    return _finite(graph, weights)


def _bias(graph: FloatGraph, node: onnx.NodeProto, length: int) -> NDArray[Any]:
    name = node.input[2] if len(node.input) > 2 else ""
    bias = graph.constant(name) if name else np.zeros(length)
    if bias is None:
        raise graph.unsupported("its bias is no constant")
    return _finite(graph, bias)


def _finite(graph: FloatGraph, weights: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite(weights).all():
        raise graph.unsupported(
            f"its weights hold NaN or inf: the {graph.engine} engine takes numbers"
        )
    return weights


def _rows(
    graph: FloatGraph, node: onnx.NodeProto, weights: NDArray[Any], bias: NDArray[Any]
) -> Place:
    x = graph.place(node.input[0])
    graph.axis(-1, x)  # sums over events are none of ours
    return row_products(graph, x, weights, bias, node)


def row_products(
    graph: FloatGraph,
    x: Place,
    weights: NDArray[Any],
    bias: NDArray[Any],
    node: onnx.NodeProto | None = None,
) -> Place:
    """x (…, in) times weights (in, out), and the ReLU behind `node` if it is alone there."""
    flat = Place(x.buffer, x.index.reshape(-1, x.shape[-1]))
    if len(flat.index) == 1:
        # elements in another order, as a flattened picture has them, need another order of weights
        order = np.argsort(flat.index[0])
        ordered = flat.at(flat.index[:, order])
        if ordered.affine() is not None:
            flat, weights = ordered, weights[order]
    flat, layout = graph.strided(flat)
    result = _products(
        graph,
        node or onnx.NodeProto(),
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
    return x.of_buffer(result.buffer, result.index.reshape(*x.shape[:-1], -1))


def _products(
    graph: FloatGraph,
    node: onnx.NodeProto,
    start: Place,
    taps: NDArray[Any],
    bias: NDArray[Any],
    layer: dict[str, int],
) -> Place:
    """Weights `taps` (ky, kx, in, out) -> (oy, ox, out), with what follows and can be done at once."""
    bias = _bias_that_follows(graph, node, bias)
    relu = _followed_by(graph, node, "Relu")
    if relu is not None:
        graph.takes_along(relu)
    shape = layer["oy"], layer["ox"], taps.shape[-1]
    out = _destination(graph, node, shape) if graph.writes_ahead else None
    return graph.products(start, taps, bias, layer, relu is not None, out)


def _followed_by(graph: FloatGraph, node: onnx.NodeProto, kind: str) -> onnx.NodeProto | None:
    """The node of this kind that alone reads what the node at hand makes."""
    reader = graph.only_reader(graph.result_name(node)) if node.output else None
    return reader if reader is not None and reader.op_type == kind else None


def _bias_that_follows(graph: FloatGraph, node: onnx.NodeProto, bias: NDArray[Any]) -> NDArray[Any]:
    """The bias with that of an addition behind a product, which is then done with."""
    added = _followed_by(graph, node, "Add") if node.op_type == "MatMul" else None
    for name in added.input if added is not None else ():
        values = graph.constant(name)
        if values is not None and values.shape[-1:] == values.ravel().shape == bias.shape:
            assert added is not None
            graph.takes_along(added)
            bias = bias + values.ravel()
            break
    return bias


def _destination(
    graph: FloatGraph, node: onnx.NodeProto, shape: tuple[int, int, int]
) -> Place | None:
    """Where a layer can write (oy, ox, out) straight for who reads it; None if it cannot."""
    if node.op_type == "Gemm" and graph.is_output(graph.result_name(node)):
        return row_major("out", shape)
    reader = _followed_by(graph, node, "Conv") if node.op_type == "Conv" else None
    pads = attributes(reader).get("pads", []) if reader is not None else []
    if len(pads) != 4 or not any(pads):
        return None
    top, left, bottom, right = pads
    frame = graph.new((shape[0] + top + bottom, shape[1] + left + right, shape[2]))
    channels_first = Place(frame.buffer, frame.index.transpose(2, 0, 1))
    graph.frames[frame.buffer] = channels_first
    fill_around(graph, channels_first, pads, "V()")
    return Place(frame.buffer, frame.index[top : top + shape[0], left : left + shape[1]])
