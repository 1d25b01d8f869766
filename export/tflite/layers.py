"""What each ONNX operator is in TFLite."""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.export.tflite.graph import Axes, Stored, TfliteGraph, handles, plain

_ONE = {
    "Abs": "ABS",
    "Exp": "EXP",
    "Neg": "NEG",
    "Relu": "RELU",
    "Sigmoid": "LOGISTIC",
    "Sqrt": "SQRT",
    "Tanh": "TANH",
}
_TWO = {
    "Add": ("ADD", "AddOptions"),
    "Div": ("DIV", "DivOptions"),
    "Max": ("MAXIMUM", ""),
    "Min": ("MINIMUM", ""),
    "Mul": ("MUL", "MulOptions"),
    "Sub": ("SUB", "SubOptions"),
}
_REDUCED = {"ReduceMax": "REDUCE_MAX", "ReduceMean": "MEAN", "ReduceSum": "SUM"}
_VALID = 1
"""the schema's number of the padding that adds nothing"""


@handles(*_ONE)
def _one(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    return graph.like(graph.value(node.input[0]), _ONE[node.op_type])


@handles("LeakyRelu")
def _leaky(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    slope = attributes(node).get("alpha", 0.01)
    return graph.like(graph.value(node.input[0]), "LEAKY_RELU", "LeakyReluOptions", alpha=slope)


@handles("Softmax")
def _softmax(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    x = graph.value(node.input[0])
    axis = graph.axis(attributes(node).get("axis", -1), x)
    x = graph.arranged(x, _last(axis, len(x.axes)))
    return graph.like(x, "SOFTMAX", "SoftmaxOptions", beta=1.0)


@handles(*_TWO)
def _two(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    code, options = _TWO[node.op_type]
    found = [graph.value(n) for n in node.input if n not in graph.constants]
    like = max(found, key=lambda value: prod(value.extent))
    ranks = {len(value.axes) for value in found}
    if ranks != {len(like.axes)}:
        raise graph.unsupported("its inputs have different numbers of axes")
    tensors, extents = [], []
    for name in node.input:
        value = _constant(graph, name, like) if name in graph.constants else graph.value(name)
        value = graph.arranged(value, like.axes)
        tensors.append(value.tensor)
        extents.append(value.extent)
    extent = np.broadcast_shapes(*extents)
    fused, note = graph.activation(node) if options else (0, lambda value: value)
    values = {"fusedActivationFunction": fused}
    tensor = graph.model.operation(code, tensors, extent, options, values)
    return note(Stored(tensor, extent, like.axes))


def _constant(graph: TfliteGraph, name: str, like: Stored) -> Stored:
    """A constant with as many axes as `like`, stored in its order."""
    values = graph.constants[name].astype(np.float32)
    if values.ndim > len(like.axes):
        raise graph.unsupported(f"a constant of shape {values.shape} adds axes")
    values = values.reshape((1,) * (len(like.axes) - values.ndim) + values.shape)
    values = values.transpose(np.argsort(like.axes))
    return Stored(graph.model.constant(values), values.shape, like.axes)


@handles("Pow")
def _power(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    exponent = graph.constants.get(node.input[1])
    if exponent is None or exponent.size != 1 or exponent.item() != 2:
        raise graph.unsupported("powers other than squares")
    return graph.like(graph.value(node.input[0]), "SQUARE")


@handles("Transpose")
def _transpose(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    x = graph.value(node.input[0])
    return replace(x, axes=tuple(x.axes[a] for a in attributes(node)["perm"]))


@handles("Reshape", "Flatten", "Unsqueeze", "Squeeze")
def _reshape(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    x = graph.value(node.input[0])
    shape = _target(graph, node, x.shape)
    readers = graph.readers(node.output[0])
    in_order = x.axes == tuple(range(len(x.axes)))
    if not in_order and len(shape) == 2 and readers and all(r.op_type == "Gemm" for r in readers):
        # the dense layer behind reads its weights in the stored order instead
        stored = np.arange(shape[1]).reshape(x.extent[1:])
        columns = stored.transpose([a - 1 for a in x.axes[1:]]).ravel()
        return replace(plain(graph.reshaped(x.tensor, shape), shape), columns=columns)
    return plain(graph.reshaped(graph.in_order(x).tensor, shape), shape)


def _target(graph: TfliteGraph, node: onnx.NodeProto, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a node gives to its input of `shape`."""
    if node.op_type == "Flatten":
        axis = attributes(node).get("axis", 1)
        target = [prod(shape[:axis]), prod(shape[axis:])]
    elif node.op_type == "Reshape":
        wanted = [int(n) for n in graph.constants[node.input[1]]]
        target = [shape[i] if n == 0 else n for i, n in enumerate(wanted)]
        target = [-prod(shape) // prod(target) if n == -1 else n for n in target]
    elif node.op_type == "Unsqueeze":
        axes = [int(a) for a in graph.constants[node.input[1]]]
        target = list(np.expand_dims(np.empty(shape, bool), axes).shape)
    else:
        axes = [int(a) for a in graph.constants[node.input[1]]]
        target = list(np.empty(shape, bool).squeeze(tuple(axes)).shape)
    if target[0] != shape[0]:
        raise graph.unsupported(f"{list(shape)} to {target} mixes events")
    return tuple(target)


@handles(*_REDUCED)
def _reduce(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    x = graph.value(node.input[0])
    given = graph.constants.get(node.input[1]) if len(node.input) > 1 else None
    over = [graph.axis(int(a), x) for a in (given if given is not None else range(1, len(x.axes)))]
    keep = bool(attributes(node).get("keepdims", 1))
    stored = sorted(x.axes[a] for a in over)
    axes = x.axes
    if not keep:
        left = [a for i, a in enumerate(x.axes) if i not in over]
        axes = tuple(sorted(left).index(a) for a in left)
    kept = [1 if a in stored else n for a, n in enumerate(x.extent) if keep or a not in stored]
    where = graph.model.constant(np.array(stored, np.int32))
    tensor = graph.model.operation(
        _REDUCED[node.op_type], [x.tensor, where], kept, "ReducerOptions", {"keepDims": keep}
    )
    return Stored(tensor, tuple(kept), axes)


@handles("Slice")
def _slice(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    x = graph.value(node.input[0])
    starts, ends, axes = (graph.constants[n] for n in node.input[1:4])
    steps = graph.constants[node.input[4]] if len(node.input) > 4 else np.ones_like(starts)
    begin, extent = np.zeros(len(x.axes), np.int32), np.array(x.extent, np.int32)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = x.axes[graph.axis(int(axis), x)]
        chosen = range(x.extent[at])[int(start) : int(end) : int(step)]
        if step != 1 or not chosen:
            raise graph.unsupported("slices that skip elements, or have none")
        begin[at], extent[at] = chosen.start, len(chosen)
    where = [graph.model.constant(begin), graph.model.constant(extent)]
    shape = tuple(int(n) for n in extent)
    return Stored(graph.model.operation("SLICE", [x.tensor, *where], shape), shape, x.axes)


@handles("Concat")
def _concatenate(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    parts = [graph.value(name) for name in node.input]
    axes = parts[0].axes
    axis = axes[graph.axis(attributes(node)["axis"], parts[0])]
    parts = [graph.arranged(part, axes) for part in parts]
    extent = list(parts[0].extent)
    extent[axis] = sum(part.extent[axis] for part in parts)
    tensor = graph.model.operation(
        *("CONCATENATION", [p.tensor for p in parts], extent, "ConcatenationOptions"),
        {"axis": axis},
    )
    return Stored(tensor, tuple(extent), axes)


@handles("Gemm")
def _gemm(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    given = attributes(node)
    x = graph.value(node.input[0])
    weights = graph.constants.get(node.input[1])
    if given.get("transA", 0) or weights is None:
        raise graph.unsupported("a product that is no dense layer")
    weights = weights if given.get("transB", 0) else weights.T
    bias = graph.constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weights))
    if x.columns is not None:
        weights = weights[:, np.argsort(x.columns)]
    scaled = given.get("alpha", 1.0) * weights, given.get("beta", 1.0) * bias
    return _dense(graph, node, x if x.columns is not None else graph.in_order(x), *scaled)


@handles("MatMul")
def _product(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    weights = graph.constants.get(node.input[1])
    x = graph.value(node.input[0])
    x = graph.arranged(x, _last(len(x.axes) - 1, len(x.axes)))
    if weights is not None and weights.ndim == 2:
        return _dense(graph, node, x, weights.T, np.zeros(weights.shape[1]))
    if weights is not None:
        raise graph.unsupported(
            f"weights of shape {weights.shape}; those of a dense layer are known"
        )
    x, y = graph.in_order(x), graph.in_order(graph.value(node.input[1]))
    shape = (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
    options = "BatchMatMulOptions"
    return plain(graph.model.operation("BATCH_MATMUL", [x.tensor, y.tensor], shape, options), shape)


def _dense(
    graph: TfliteGraph,
    node: onnx.NodeProto,
    x: Stored,
    weights: NDArray[Any],
    bias: NDArray[Any],
) -> Stored:
    """weights (outputs, inputs) on the axis that is stored last."""
    fused, note = graph.activation(node)
    constants = [graph.model.constant(c.astype(np.float32)) for c in (weights, bias.reshape(-1))]
    extent = (*x.extent[:-1], len(weights))
    tensor = graph.model.operation(
        *("FULLY_CONNECTED", [x.tensor, *constants], extent, "FullyConnectedOptions"),
        {"fusedActivationFunction": fused, "keepNumDims": len(extent) > 2},
    )
    return note(Stored(tensor, extent, x.axes))


@handles("Conv")
def _convolution(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    given = attributes(node)
    weights = graph.constants[node.input[1]]
    rank = weights.ndim
    bias = graph.constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weights))
    if given.get("group", 1) != 1 or rank > 4 or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise graph.unsupported(
            "convolutions in groups, in three dimensions, or padded by themselves"
        )
    x = graph.arranged(graph.value(node.input[0]), _last(1, rank))
    steps = [given.get(k, [1] * (rank - 2)) for k in ("strides", "dilations")]
    pads = given.get("pads", [0] * 2 * (rank - 2))
    if prod(weights.shape[2:]) == 1 and not any(pads) and not np.any(np.array(steps[0]) - 1):
        return _dense(graph, node, x, weights.reshape(weights.shape[:2]), bias)
    image = _padded(graph, _image(graph, x), pads)
    kernel = weights.reshape(*weights.shape, *[1] * (4 - rank)).transpose(0, 2, 3, 1)
    strides, dilations = ([*s, 1][:2] for s in steps)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[1:3], dilations, strict=True)]
    size = [(n - r) // s + 1 for n, r, s in zip(image.extent[1:3], reach, strides, strict=True)]
    fused, note = graph.activation(node)
    constants = [graph.model.constant(c.astype(np.float32)) for c in (kernel, bias)]
    extent = (image.extent[0], *size, len(weights))
    options = {
        "padding": _VALID,
        "fusedActivationFunction": fused,
        **dict(zip(("strideH", "strideW"), strides, strict=True)),
        **dict(zip(("dilationHFactor", "dilationWFactor"), dilations, strict=True)),
    }
    tensor = graph.model.operation(
        "CONV_2D", [image.tensor, *constants], extent, "Conv2DOptions", options
    )
    return note(_from_image(graph, tensor, extent, rank))


@handles("AveragePool", "MaxPool")
def _pool(graph: TfliteGraph, node: onnx.NodeProto) -> Stored:
    given = attributes(node)
    kernel = list(given["kernel_shape"])
    strides = list(given.get("strides", [1] * len(kernel)))
    usual = {"pads": 0, "ceil_mode": 0, "dilations": 1}
    odd = any(np.any(np.array(given.get(k, v)) != v) for k, v in usual.items())
    if odd or len(kernel) > 2 or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise graph.unsupported(
            "pooling with padding, dilation, rounding up, or in three dimensions"
        )
    rank = len(kernel) + 2
    image = _image(graph, graph.arranged(graph.value(node.input[0]), _last(1, rank)))
    kernel, strides = [*kernel, 1][:2], [*strides, 1][:2]
    size = [(n - k) // s + 1 for n, k, s in zip(image.extent[1:3], kernel, strides, strict=True)]
    extent = (image.extent[0], *size, image.extent[3])
    options = dict(
        zip(
            ("filterHeight", "filterWidth", "strideH", "strideW", "padding"),
            (*kernel, *strides, _VALID),
            strict=True,
        )
    )
    code = {"AveragePool": "AVERAGE_POOL_2D", "MaxPool": "MAX_POOL_2D"}[node.op_type]
    tensor = graph.model.operation(code, [image.tensor], extent, "Pool2DOptions", options)
    return _from_image(graph, tensor, extent, rank)


def _image(graph: TfliteGraph, x: Stored) -> Stored:
    """x (N, L, C) or (N, H, W, C), as stored, as (N, H, W, C)."""
    if len(x.extent) == 4:
        return x
    extent = (*x.extent[:2], 1, x.extent[2])
    return Stored(graph.reshaped(x.tensor, extent), extent, _last(1, 4))


def _from_image(graph: TfliteGraph, tensor: int, extent: tuple[int, ...], rank: int) -> Stored:
    if rank == 3:
        extent = (*extent[:2], extent[3])
        tensor = graph.reshaped(tensor, extent)
    return Stored(tensor, extent, _last(1, rank))


def _padded(graph: TfliteGraph, image: Stored, pads: list[int]) -> Stored:
    """(N, H, W, C) with zeros around; `pads` are ONNX's: all begins, then all ends."""
    if not any(pads):
        return image
    half = len(pads) // 2
    around = np.zeros((4, 2), np.int32)
    around[1 : 1 + half] = np.array(pads).reshape(2, half).T
    extent = tuple(int(n) for n in np.array(image.extent) + around.sum(axis=1))
    tensor = graph.model.operation("PAD", [image.tensor, graph.model.constant(around)], extent)
    return Stored(tensor, extent, image.axes)


def _last(axis: int, rank: int) -> Axes:
    """The order of axes that stores `axis` last and leaves the others as they are."""
    return tuple(rank - 1 if a == axis else a - (a > axis) for a in range(rank))


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
