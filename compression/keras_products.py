"""Writers of products with weights, and of products of two tensors."""

import math
from dataclasses import replace

import numpy as np

from triggerforge.compression.backend import hgq
from triggerforge.compression.graph import Array, Layer
from triggerforge.compression.keras_layers import (
    LETTERS,
    WRITERS,
    Model,
    Order,
    Value,
    arranged,
    assign,
    batched,
    last,
    moved_along,
)


@WRITERS.register("linear")
def _linear(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    axis = len(layer.shape) - 1
    value = arranged(model, inputs[0], last(inputs[0], axis))
    return _dense(model, layer, value)


def _dense(model: Model, layer: Layer, value: Value) -> Value:
    """A product with the kernel along the last Keras axis."""
    kernel = layer.weights["kernel"]
    bias = layer.weights.get("bias")
    dense = hgq.layers.QDense(
        kernel.shape[-1],
        activation=layer.attrs.get("activation"),
        use_bias=bias is not None,
        name=model.name(layer.name),
        **model.weights(kq_conf=2, bq_conf=1),
        **model.quantised(value),
    )
    tensor = dense(value.tensor)
    assign(dense, kernel, bias)
    model.start(dense, value)
    return Value(tensor, value.order)


@WRITERS.register("conv")
def _conv(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    rank = len(layer.shape)
    value = arranged(model, inputs[0], (*range(1, rank), 0))
    kernel, bias = layer.weights["kernel"], layer.weights.get("bias")
    stride, padding = layer.attrs["stride"], layer.attrs["padding"]
    plain = all(s == 1 for s in stride)
    if plain and all(k == 1 for k in kernel.shape[:-2]) and not np.any(padding):
        weights = layer.weights | {"kernel": kernel.reshape(kernel.shape[-2:])}
        return _dense(model, replace(layer, weights=weights), value)
    value, kernel, mode = _padded(model, layer, value)
    kind = hgq.layers.QConv1D if rank == 2 else hgq.layers.QConv2D
    conv = kind(
        kernel.shape[-1],
        kernel.shape[:-2],
        strides=stride,
        padding=mode,
        activation=layer.attrs.get("activation"),
        use_bias=bias is not None,
        name=model.name(layer.name),
        **model.weights(kq_conf=rank + 1, bq_conf=1),
        **model.quantised(value),
    )
    tensor = conv(value.tensor)
    assign(conv, kernel, bias)
    model.start(conv, value)
    return Value(tensor, value.order)


def _padded(model: Model, layer: Layer, value: Value) -> tuple[Value, Array, str]:
    """The input, the kernel and Keras' word for the padding, which together pad as torch does.

    Keras' "same" puts the odd zero behind, torch pads both sides alike. A kernel with one more
    row of zeros can make them agree; where it cannot, the zeros come by a product with zeros and
    ones: hls4ml 1.3 has no form for a layer that pads.
    """
    kernel, padding = layer.weights["kernel"], layer.attrs["padding"]
    if not np.any(padding):
        return value, kernel, "valid"
    sizes = value.tensor.shape[1:-1]
    rows = [
        _extra_rows(*each)
        for each in zip(
            sizes, layer.shape[1:], kernel.shape[:-2], layer.attrs["stride"], padding, strict=True
        )
    ]
    if None not in rows:
        return value, np.pad(kernel, [*((0, r or 0) for r in rows), (0, 0), (0, 0)]), "same"
    for axis, zeros in enumerate(padding, 1):
        if any(zeros):
            value = _with_zeros(model, f"{layer.name}_pad", value, axis, zeros)
    return value, kernel, "valid"


def _with_zeros(model: Model, name: str, value: Value, axis: int, zeros: tuple[int, int]) -> Value:
    """`value` with so many zeros before and behind along torch's `axis`."""
    size = value.shape[axis]
    kernel = np.eye(size, size + sum(zeros), zeros[0], dtype=np.float32)
    around = [zeros if a == axis else (0, 0) for a in range(len(value.order))]
    port = value.port.map(lambda a: np.pad(a, around, mode="edge")) if value.port else None
    return moved_along(model, name, value, axis, kernel, port)


def _extra_rows(
    size: int, outputs: int, kernel: int, stride: int, padding: tuple[int, int]
) -> int | None:
    """Rows of zeros behind the kernel with which Keras' "same" starts where torch does."""
    if outputs != math.ceil(size / stride):
        return None
    for extra in (0, 1):
        total = max((outputs - 1) * stride + kernel + extra - size, 0)
        if total // 2 == padding[0]:
            return extra
    return None


@WRITERS.register("affine")
def _affine(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    """A product along the axes on which the constants differ: a diagonal einsum."""
    (value,) = inputs
    rank = len(layer.shape)
    scale, offset = (
        np.transpose(c.reshape((1,) * (rank - c.ndim) + c.shape), value.order)
        for c in (layer.weights["scale"], layer.weights["offset"])
    )
    sizes = np.broadcast_shapes(scale.shape, offset.shape)
    varying = [a for a in range(rank) if sizes[a] > 1] or [rank - 1]
    shape = tuple(value.tensor.shape[1 + a] for a in varying)
    squeezed = tuple(a for a in range(rank) if a not in varying)
    scale, offset = (
        np.ascontiguousarray(np.broadcast_to(np.squeeze(c, squeezed), shape))
        for c in (scale, offset)
    )
    letters = LETTERS[:rank]
    inner = "".join(letters[a] for a in varying)
    with_bias = bool(offset.any())
    dense = hgq.layers.QEinsumDense(
        batched(f"{letters},{inner}->{letters}"),
        tuple(value.tensor.shape[1:]),
        bias_axes=inner if with_bias else None,
        name=model.name(layer.name),
        **model.weights(kq_conf=len(shape), bq_conf=len(shape)),
        **model.quantised(value),
    )
    tensor = dense(value.tensor)
    assign(dense, scale, offset.reshape(dense.bias.shape) if with_bias else None)
    model.start(dense, value)
    return Value(tensor, value.order)


@WRITERS.register("einsum")
def _einsum(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    left, out = layer.attrs["equation"].split("->")
    terms = [
        "".join(term[a] for a in value.order)
        for term, value in zip(left.split(","), inputs, strict=True)
    ]
    order = tuple(range(len(out)))
    return einsum_of(model, layer, inputs, f"{terms[0]},{terms[1]}->{out}", order)


def einsum_of(
    model: Model, layer: Layer, inputs: list[Value], equation: str, order: Order
) -> Value:
    """A product of two tensors; `equation` without batch, in the Keras order of axes."""
    einsum = hgq.layers.QEinsum(
        batched(equation, both=True), name=model.name(layer.name), **model.quantised(*inputs)
    )
    tensor = einsum([value.tensor for value in inputs])
    model.start(einsum, *inputs)
    return Value(tensor, order)


@WRITERS.register("einsum_dense")
def _einsum_dense(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    terms, out = layer.attrs["equation"].split("->")
    left, right = terms.split(",")
    given = "".join(left[a] for a in value.order)
    kernel = layer.weights["kernel"]
    dense = hgq.layers.QEinsumDense(
        batched(f"{given},{right}->{out}"),
        layer.shape,
        name=model.name(layer.name),
        **model.weights(kq_conf=kernel.ndim),
        **model.quantised(value),
    )
    tensor = dense(value.tensor)
    assign(dense, kernel, None)
    model.start(dense, value)
    return Value(tensor, tuple(range(len(out))))
