"""Dense, EinsumDense and BatchNormalization, with constant weights."""

from typing import Any

import numpy as np

from triggerforge.compression.backend import keras
from triggerforge.export.formats import ElementFormats
from triggerforge.export.handlers import handles
from triggerforge.export.layers.activation import activate
from triggerforge.export.linear import Linear
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor


def weights_of(context: Lowering, layer: Any) -> tuple[Any, Any, Any]:
    """Kernel and bias (None without one) as float64, already quantised, and their formats."""
    kernel = numbers(layer.qkernel)
    bias = None if layer.bias is None else numbers(layer.qbias)
    formats = (
        ElementFormats.of(layer.kq, kernel.shape, context.where),
        None if bias is None else ElementFormats.of(layer.bq, bias.shape, context.where),
    )
    return kernel, bias, formats


def numbers(variable: Any) -> Any:
    """A Keras variable or tensor as float64."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


@handles("QDense", "QBatchNormDense")
def dense(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """y = x W + b over the last axis."""
    kernel, bias, formats = weights_of(context, layer)
    last = len(x.shape) - 1
    linear = Linear(kernel, bias, (last, None), (None, last), np.matmul, _matmul, formats)
    return activate(context, layer, linear(context, x))


def _matmul(context: Lowering, x: Stored, weight: str, bias: str | None) -> str:
    return context.add_bias(context.graph.node("MatMul", x.name, weight), bias)


@handles("QEinsumDense", "QEinsumDenseBatchnorm")
def einsum_dense(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """y = einsum(equation, x, W) + b; a MatMul where the equation is one."""
    kernel, bias, formats = weights_of(context, layer)
    terms, out = expand(layer.equation, [len(x.shape) + 1, kernel.ndim])
    x_letters, w_letters = terms[0][1:], terms[1]
    if terms[0][0] in w_letters or out[0] != terms[0][0]:
        raise context.unsupported(f"einsum {layer.equation!r} mixes the events of a batch")
    event = f"{x_letters},{w_letters}->{out[1:]}"
    linear = Linear(
        kernel,
        bias,
        tuple(x_letters.index(c) if c in x_letters else None for c in w_letters),
        tuple(out.index(c) - 1 if c in out else None for c in w_letters),
        lambda a, b: np.einsum(event, a, b, optimize=True),
        lambda c, s, w, b: c.add_bias(_contract(c, terms[0], w_letters, out, s.name, w), b),
        formats,
    )
    return activate(context, layer, linear(context, x))


def _contract(context: Lowering, x: str, w: str, out: str, source: str, weight: str) -> str:
    """einsum(x, w -> out); a MatMul, many times faster, where one axis is contracted by a matrix."""
    graph = context.graph
    summed, kept = ("".join(c for c in w if (c in out) is there) for there in (False, True))
    if len(summed) == 1 and len(kept) <= 1 and not set(kept) & set(x):
        if x[-1] == summed and out == x[:-1] + kept:
            right = weight if w[0] == summed else graph.node("Transpose", weight, perm=[1, 0])
            return graph.node("MatMul", source, right)
        if x[-2] == summed and out == x[:-2] + kept + x[-1]:
            left = weight if w[-1] == summed else graph.node("Transpose", weight, perm=[1, 0])
            return graph.node("MatMul", left, source)
    return graph.node("Einsum", source, weight, equation=f"{x},{w}->{out}")


def expand(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The terms and the result of an einsum, `...` written out; `ranks` counts the batch axis."""
    left, out = equation.replace(" ", "").split("->")
    terms = left.split(",")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    for term, rank in zip(terms, ranks, strict=True):
        if "..." in term:
            letters = "".join(spare[: rank - len(term) + 3])
            terms = [t.replace("...", letters) for t in terms]
            out = out.replace("...", letters)
    return terms, out


@handles("QBatchNormalization")
def batch_normalization(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """y = x * scale + offset along the layer's axis."""
    scale, offset = (numbers(v) for v in layer.qscaler_and_qoffset)
    axis = layer.axis if layer.axis < 0 else layer.axis - len(x.shape) - 1
    shape = (-1,) + (1,) * (-axis - 1)
    channel = len(x.shape) + axis
    formats = tuple(
        ElementFormats.of(q, scale.shape, context.where).reshaped(shape)
        for q in (layer.kq, layer.bq)
    )
    axes = (channel,) + (None,) * (len(shape) - 1)
    linear = Linear(
        scale.reshape(shape), offset.reshape(shape), axes, axes, np.multiply, _multiply, formats
    )
    return linear(context, x)


def _multiply(context: Lowering, x: Stored, weight: str, bias: str | None) -> str:
    return context.add_bias(context.graph.node("Mul", x.name, weight), bias)
