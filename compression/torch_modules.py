"""Converters of torch modules."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from triggerforge.compression.converters import (
    Converter,
    Reader,
    Symbol,
    torch_function,
    torch_module,
)
from triggerforge.compression.graph import Array
from triggerforge.compression.torch_functions import (
    TABLES,
    amax,
    elu,
    gelu,
    leaky_relu,
    mean,
    relu,
    reshape,
    softmax,
)


def _array(tensor: torch.Tensor | None) -> Array:
    assert tensor is not None
    array: Array = tensor.detach().cpu().numpy().astype(np.float32)
    return array


@torch_module("Linear")
def _linear(g: Reader, module: nn.Linear, x: Symbol) -> Symbol:
    bias: dict[str, Any] = {} if module.bias is None else {"bias": _array(module.bias)}
    return g.add("linear", x, kernel=_array(module.weight).T, **bias)


@torch_module("Conv1d", "Conv2d")
def _conv(g: Reader, module: Any, x: Symbol) -> Symbol:
    if module.padding_mode != "zeros":
        raise g.unsupported(f"with padding_mode={module.padding_mode!r}", "padding_mode='zeros'")
    if any(d != 1 for d in module.dilation):
        raise g.unsupported(f"with dilation={module.dilation}", "dilation=1")
    _require_rank(g, module, x)
    kernel = np.moveaxis(_array(module.weight), (0, 1), (-1, -2))
    bias: dict[str, Any] = {} if module.bias is None else {"bias": _array(module.bias)}
    padding = _padding(module.padding, module.kernel_size)
    attrs = {"stride": tuple(module.stride), "padding": padding}
    return g.add("conv", x, kernel=_ungrouped(kernel, module.groups), **bias, **attrs)


def _ungrouped(kernel: Array, groups: int) -> Array:
    """The kernel (…, inputs, outputs) of one group: zeros, which cost no bits, between the groups."""
    if groups == 1:
        return kernel
    *size, inputs, outputs = kernel.shape
    out = np.zeros((*size, inputs * groups, outputs), kernel.dtype)
    for group in range(groups):
        columns = slice(group * outputs // groups, (group + 1) * outputs // groups)
        out[..., group * inputs : (group + 1) * inputs, columns] = kernel[..., columns]
    return out


def _require_rank(g: Reader, module: nn.Module, x: Symbol) -> None:
    """torch also takes one event without its batch axis, and then other axes are the image's."""
    rank = int(type(module).__name__[-2])
    if len(x.shape) != rank + 1:
        raise g.unsupported(
            f"of a tensor of shape (N, {', '.join(map(str, x.shape))})", _IMAGES[rank]
        )


_IMAGES = {1: "(N, channels, length)", 2: "(N, channels, height, width)"}


def _padding(padding: Any, kernel: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Zeros (before, after) along each axis."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        return tuple(((k - 1) // 2, k // 2) for k in kernel)
    sizes = (padding,) * len(kernel) if isinstance(padding, int) else padding
    return tuple((p, p) for p in sizes)


@torch_module("BatchNorm1d", "BatchNorm2d")
def _batch_norm(g: Reader, module: Any, x: Symbol) -> Symbol:
    if module.running_mean is None:
        raise g.unsupported("without running statistics", "track_running_stats=True")
    scale = 1.0 / np.sqrt(_array(module.running_var).astype(np.float64) + module.eps)
    offset = -_array(module.running_mean) * scale
    if module.affine:
        gamma, beta = _array(module.weight), _array(module.bias)
        scale, offset = scale * gamma, offset * gamma + beta
    across = (-1,) + (1,) * (len(x.shape) - 1)
    return g.affine(x, scale.reshape(1, *across), offset.reshape(1, *across))


@torch_module("Identity", "Dropout", "Dropout1d", "Dropout2d", "AlphaDropout")
@torch_function("contiguous", "detach", "clone", "float")
def _same(g: Reader, *args: Any, **kwargs: Any) -> Any:
    """Operations that change nothing at inference; the tensor follows the module, if there is one."""
    return next(a for a in args if isinstance(a, Symbol))


@torch_function("dropout")
def _dropout(
    g: Reader, x: Symbol, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Symbol:
    if training:
        raise g.unsupported("with training=True drops at inference too", "training=self.training")
    return x


@torch_function("to")
def _to(g: Reader, x: Symbol, *args: Any, **kwargs: Any) -> Symbol:
    types = [v for v in (*args, *kwargs.values()) if isinstance(v, torch.dtype)]
    if any(t not in (torch.float32, torch.float64) for t in types):
        raise g.unsupported(f"{types[0]}", "float32; the quantisers round")
    return x


@torch_module("Flatten")
def _flatten_module(g: Reader, module: nn.Flatten, x: Symbol) -> Symbol:
    return reshape(g, x)


@torch_module("Softmax")
def _softmax_module(g: Reader, module: nn.Softmax, x: Symbol) -> Symbol:
    return softmax(g, x, module.dim)


@torch_module("LeakyReLU")
def _leaky_relu_module(g: Reader, module: nn.LeakyReLU, x: Symbol) -> Symbol:
    return leaky_relu(g, x, module.negative_slope)


@torch_module("GELU")
def _gelu_module(g: Reader, module: nn.GELU, x: Symbol) -> Symbol:
    return gelu(g, x, module.approximate)


@torch_module("ELU")
def _elu_module(g: Reader, module: nn.ELU, x: Symbol) -> Symbol:
    return elu(g, x, module.alpha)


def _pool(kind: str) -> Converter:
    def convert(g: Reader, module: Any, x: Symbol) -> Symbol:
        _require_rank(g, module, x)
        rank = len(x.shape) - 1
        size, stride, padding = (
            (v,) * rank if isinstance(v, int) else tuple(v)
            for v in (module.kernel_size, module.stride, module.padding)
        )
        if getattr(module, "ceil_mode", False) or any(padding):
            raise g.unsupported("with padding or ceil_mode", "sizes that divide the image")
        if getattr(module, "divisor_override", None) is not None:
            raise g.unsupported("with divisor_override", "the mean, times a constant")
        if any(d != 1 for d in np.ravel(getattr(module, "dilation", 1))):
            raise g.unsupported(f"with dilation={module.dilation}", "dilation=1")
        if kind == "average" and math.log2(math.prod(size)) % 1:
            raise g.unsupported(f"over {math.prod(size)} pixels", "a window of 2^k pixels")
        return g.add("pool", x, kind=kind, size=size, stride=stride)

    return convert


for _rank in (1, 2):
    torch_module(f"MaxPool{_rank}d")(_pool("max"))
    torch_module(f"AvgPool{_rank}d")(_pool("average"))


def _adaptive(kind: str) -> Converter:
    def convert(g: Reader, module: Any, x: Symbol) -> Symbol:
        _require_rank(g, module, x)
        if any(s != 1 for s in np.ravel(np.asarray(module.output_size, object))):
            raise g.unsupported(f"to {module.output_size}", "output_size=1")
        dims = tuple(range(2, len(x.shape) + 1))
        return (amax if kind == "max" else mean)(g, x, dims, keepdim=True)

    return convert


for _rank in (1, 2):
    torch_module(f"AdaptiveAvgPool{_rank}d")(_adaptive("average"))
    torch_module(f"AdaptiveMaxPool{_rank}d")(_adaptive("max"))


@torch_module("ReLU")
def _relu_module(g: Reader, module: nn.ReLU, x: Symbol) -> Symbol:
    return relu(g, x)


def _plain_module(function: str, defaults: dict[str, Any]) -> Converter:
    def convert(g: Reader, module: nn.Module, x: Symbol) -> Symbol:
        odd = {k: v for k, d in defaults.items() if (v := getattr(module, k)) != d}
        if odd:
            raise g.unsupported(f"with {odd}", f"{g.what} with {defaults}")
        return g.add("table", x, function=function)

    return convert


_DEFAULTS: dict[str, dict[str, Any]] = {
    "Softplus": {"beta": 1, "threshold": 20},
    "Hardtanh": {"min_val": -1.0, "max_val": 1.0},
}
for _name, _function in TABLES.items():
    torch_module(_name)(_plain_module(_function, _DEFAULTS.get(_name, {})))
