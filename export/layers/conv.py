"""Convolutions, channels last: Conv in float32, sums of shifted MatMuls where float64 is needed.

onnxruntime has no Conv in float64 on the CPU.
"""

from typing import Any

import numpy as np

from triggerforge.export.handlers import handles
from triggerforge.export.layers.activation import activate
from triggerforge.export.layers.dense import weights_of
from triggerforge.export.layers.window import Window, pad_name, shifted
from triggerforge.export.linear import Linear
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor


@handles("QConv1D", "QConv2D")
def convolution(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """y = conv(x, W) + b over (length, channels) or (height, width, channels).

    Raises UnsupportedOperationError for groups, channels first, and causal padding.
    """
    if layer.data_format != "channels_last" or layer.groups != 1 or layer.padding == "causal":
        raise context.unsupported(
            f"{layer.data_format}, {layer.groups} groups, padding {layer.padding!r}; use "
            "channels_last, one group, and padding 'valid' or 'same'"
        )
    kernel, bias, formats = weights_of(context, layer)
    window = Window.of(
        x.shape[:-1], layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding
    )
    rank = len(window.size)
    linear = Linear(
        kernel,
        bias,
        (None,) * rank + (rank, None),
        (None,) * rank + (None, rank),
        lambda a, w: _numpy(window, a, w),
        lambda c, s, w, b: _emit(c, window, s, w, b),
        formats,
    )
    return activate(context, layer, linear(context, x))


def _numpy(window: Window, x: Any, kernel: Any) -> Any:
    """The convolution of one event, shift by shift."""
    padded = np.pad(x, [*window.pads, (0, 0)])
    return sum(padded[window.slices(shift)] @ kernel[shift] for shift in window.shifts)


def _emit(context: Lowering, window: Window, x: Stored, weight: str, bias: str | None) -> str:
    if x.dtype == np.float32:
        return context.add_bias(_conv(context, window, x.name, weight), bias)
    return context.add_bias(_shifts(context, window, x, weight), bias)


def _conv(context: Lowering, window: Window, x: str, weight: str) -> str:
    rank = len(window.size)
    first = context.graph.node("Transpose", x, perm=[0, rank + 1, *range(1, rank + 1)])
    filters = context.graph.node("Transpose", weight, perm=[rank + 1, rank, *range(rank)])
    pads = [p[0] for p in window.pads] + [p[1] for p in window.pads]
    out = context.graph.node(
        "Conv",
        first,
        filters,
        kernel_shape=list(window.size),
        strides=list(window.strides),
        dilations=list(window.dilation),
        pads=pads,
    )
    return context.graph.node("Transpose", out, perm=[0, *range(2, rank + 2), 1])


def _shifts(context: Lowering, window: Window, x: Stored, weight: str) -> str:
    source = pad_name(context, window, x, 0.0)
    out = ""
    for shift in window.shifts:
        index = context.graph.constant(np.array(shift, np.int64), "shift")
        part = context.graph.node("GatherND", weight, index)
        term = context.graph.node("MatMul", shifted(context, window, source, shift), part)
        out = context.graph.node("Add", out, term) if out else term
    return out
