"""Converters of torch functions and tensor methods."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from triggerforge.compression.converters import (
    Converter,
    Reader,
    Symbol,
    is_constant,
    torch_function,
)
from triggerforge.compression.graph import Array


@torch_function("relu")
def relu(g: Reader, x: Symbol, inplace: bool = False) -> Symbol:
    return g.add("relu", x)


def _table(function: str) -> Converter:
    def convert(g: Reader, x: Symbol, *, inplace: bool = False) -> Symbol:
        return g.add("table", x, function=function)

    return convert


TABLES = {
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "SiLU": "silu",
    "ReLU6": "relu6",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Hardsigmoid": "hard_sigmoid",
    "Hardswish": "hard_silu",
    "Hardtanh": "hard_tanh",
}
for _name, _function in TABLES.items():
    if _name != "Hardtanh":
        torch_function(_name.lower())(_table(_function))
torch_function("exp")(_table("exponential"))


@torch_function("hardtanh")
def _hardtanh(
    g: Reader, x: Symbol, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Symbol:
    if (min_val, max_val) != (-1.0, 1.0):
        raise g.unsupported(f"from {min_val} to {max_val}", "hardtanh from -1 to 1")
    return g.add("table", x, function="hard_tanh")


@torch_function("gelu")
def gelu(g: Reader, x: Symbol, approximate: str = "none") -> Symbol:
    return g.add("table", x, function="gelu" if approximate == "none" else "gelu_tanh")


@torch_function("leaky_relu")
def leaky_relu(g: Reader, x: Symbol, negative_slope: float = 0.01, inplace: bool = False) -> Symbol:
    return g.add("table", x, function="leaky_relu", slope=float(negative_slope))


@torch_function("elu")
def elu(g: Reader, x: Symbol, alpha: float = 1.0, inplace: bool = False) -> Symbol:
    if alpha != 1.0:
        raise g.unsupported(f"with alpha={alpha}", "elu with alpha=1")
    return g.add("table", x, function="elu")


@torch_function("softmax")
def softmax(g: Reader, x: Symbol, dim: int | None = None, _stacklevel: int = 3) -> Symbol:
    return g.add("softmax", x, axes=g.axes(dim, x))


def _merge(g: Reader, op: str, x: Symbol, y: Symbol) -> Symbol:
    if len(x.shape) != len(y.shape):
        raise g.unsupported(f"of shapes {x.shape} and {y.shape}", "equal numbers of axes")
    return g.add(op, x, y)


@torch_function("add", "iadd")
def _add(g: Reader, x: Any, y: Any, *, alpha: float = 1) -> Symbol:
    if alpha != 1:
        raise g.unsupported(f"with alpha={alpha}", "alpha=1")
    if is_constant(x):
        x, y = y, x
    return g.affine(x, offset=y) if is_constant(y) else _merge(g, "add", x, y)


@torch_function("sub", "isub", "subtract")
def _sub(g: Reader, x: Any, y: Any, *, alpha: float = 1) -> Symbol:
    if alpha != 1:
        raise g.unsupported(f"with alpha={alpha}", "alpha=1")
    if is_constant(x):
        return g.affine(y, scale=-1.0, offset=x)
    return g.affine(x, offset=np.negative(y)) if is_constant(y) else _merge(g, "subtract", x, y)


@torch_function("mul", "imul", "multiply")
def _mul(g: Reader, x: Any, y: Any) -> Symbol:
    if is_constant(x):
        x, y = y, x
    return g.affine(x, scale=y) if is_constant(y) else _merge(g, "multiply", x, y)


@torch_function("truediv", "div", "true_divide")
def _div(g: Reader, x: Any, y: Any) -> Symbol:
    if not is_constant(y) or is_constant(x):
        raise g.unsupported("by a tensor has no fixed-point form here")
    return g.affine(x, scale=1.0 / np.asarray(y, np.float64))


@torch_function("neg", "negative")
def _neg(g: Reader, x: Symbol) -> Symbol:
    return g.affine(x, scale=-1.0)


@torch_function("square")
def _square(g: Reader, x: Symbol) -> Symbol:
    return g.add("multiply", x, x)


@torch_function("pow")
def _pow(g: Reader, x: Symbol, exponent: Any) -> Symbol:
    if exponent != 2:
        raise g.unsupported(f"with exponent {exponent}", "x ** 2")
    return _square(g, x)


@torch_function("maximum")
def _maximum(g: Reader, x: Any, y: Any) -> Symbol:
    if is_constant(x):
        x, y = y, x
    if is_constant(y):  # relu(x - c) + c
        return g.affine(relu(g, g.affine(x, offset=np.negative(y))), offset=y)
    return _merge(g, "maximum", x, y)


@torch_function("minimum")
def _minimum(g: Reader, x: Any, y: Any) -> Symbol:
    if is_constant(x):
        x, y = y, x
    if is_constant(y):  # c - relu(c - x)
        return g.affine(relu(g, g.affine(x, scale=-1.0, offset=y)), scale=-1.0, offset=y)
    return _merge(g, "minimum", x, y)


@torch_function("reshape", "view", "flatten", "squeeze", "unsqueeze", "unflatten")
def reshape(g: Reader, x: Symbol, *shape: Any, **named: Any) -> Symbol:
    return g.add("reshape", x)


@torch_function("permute")
def _permute(g: Reader, x: Symbol, *dims: Any) -> Symbol:
    flat = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return g.add("transpose", x, axes=tuple(g.axis(d, x) for d in flat[1:]))


@torch_function("transpose", "swapaxes", "swapdims")
def _transpose(g: Reader, x: Symbol, dim0: int, dim1: int) -> Symbol:
    axes = list(range(len(x.shape)))
    a, b = g.axis(dim0, x), g.axis(dim1, x)
    axes[a], axes[b] = axes[b], axes[a]
    return g.add("transpose", x, axes=tuple(axes))


@torch_function("cat", "concat", "concatenate")
def _cat(g: Reader, tensors: Sequence[Any], dim: int = 0) -> Symbol:
    if not all(isinstance(t, Symbol) for t in tensors):
        raise g.unsupported("with a constant", "cat of tensors computed from the input")
    return g.add("concat", *tensors, axis=g.axis(dim, tensors[0]))


@torch_function("stack")
def _stack(g: Reader, tensors: Sequence[Symbol], dim: int = 0) -> Symbol:
    axis = g.axis(dim, Symbol("", g.shape))
    thin = g.shape[:axis] + (1,) + g.shape[axis + 1 :]
    return g.add("concat", *[g.add("reshape", t, shape=thin) for t in tensors], axis=axis)


@torch_function("expand")
def _expand(g: Reader, x: Symbol, *sizes: Any) -> Symbol:
    if len(g.shape) != len(x.shape):
        raise g.unsupported(f"from {x.shape} to {g.shape}", "unsqueeze, then expand")
    return g.add("expand", x)


@torch_function("expand_as")
def _expand_as(g: Reader, x: Symbol, other: Symbol) -> Symbol:
    return _expand(g, x)


@torch_function("sum")
def _sum(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Symbol:
    return g.add("sum", x, axes=g.axes(dim, x), keepdims=keepdim, scale=1.0)


@torch_function("mean")
def mean(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Symbol:
    axes = g.axes(dim, x)
    count = math.prod(x.shape[a] for a in axes)
    power = 2.0 ** -math.ceil(math.log2(count))
    total = g.add("sum", x, axes=axes, keepdims=keepdim, scale=power)
    return total if power * count == 1.0 else g.affine(total, scale=1.0 / (power * count))


@torch_function("amax")
def amax(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Symbol:
    return g.add("max", x, axes=g.axes(dim, x), keepdims=keepdim)


@torch_function("max")
def _max(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Symbol | list[Symbol]:
    if isinstance(dim, Symbol | np.ndarray) or isinstance(x, np.ndarray):
        return _maximum(g, x, dim)
    axes = g.axes(dim, x)
    kept = tuple(1 if a in axes else s for a, s in enumerate(x.shape))
    shape = kept if keepdim else tuple(s for a, s in enumerate(x.shape) if a not in axes)
    # torch gives back values and indices: only the values have a fixed-point form
    return [g.add("max", x, axes=axes, keepdims=keepdim, shape=shape)]


@torch_function("getattr")
def _getattr(g: Reader, x: Any, name: str) -> Symbol:
    if name == "values" and isinstance(x, list):
        values: Symbol = x[0]
        return values
    if name in ("T", "mT") and isinstance(x, Symbol):
        return _transpose(g, x, -1, -2)
    raise g.unsupported(f"{name!r} has no fixed-point form here", "permute or transpose")


@torch_function("getitem")
def _getitem(g: Reader, x: Any, index: Any) -> Symbol:
    if isinstance(x, list):
        if index not in range(-len(x), len(x)):
            raise g.unsupported(f"of result {index}", "the values of max, [0]")
        picked: Symbol = x[index]
        return picked
    parts = index if isinstance(index, tuple) else (index,)
    if parts[:1] == (None,) or any(
        not isinstance(p, int | slice | type(...) | None) for p in parts
    ):
        raise g.unsupported(f"with index {index}", "slices and integers")
    if isinstance(parts[0], int) or (isinstance(parts[0], slice) and parts[0] != slice(None)):
        raise g.unsupported("selects events", "[:, …]")
    places = np.arange(math.prod(x.shape)).reshape(1, *x.shape)[parts][0]
    return _select(g, x, places)


def _select(g: Reader, x: Symbol, places: Any) -> Symbol:
    """Layers that pick flat positions `places` (shape of the result): a slice on each axis."""
    axes = np.unravel_index(places, x.shape)
    current = x
    for axis, index in enumerate(axes):
        wanted = np.unique(index)
        if len(wanted) < x.shape[axis]:
            shape = current.shape[:axis] + (len(wanted),) + current.shape[axis + 1 :]
            current = g.add("slice", current, shape=shape, axis=axis, indices=tuple(wanted))
    return current if current.shape == g.shape else g.add("reshape", current)


@torch_function("chunk")
def _chunk(g: Reader, x: Symbol, chunks: int, dim: int = 0) -> list[Symbol]:
    size = math.ceil(x.shape[g.axis(dim, x)] / chunks)
    return _split(g, x, size, dim)


@torch_function("split")
def _split(g: Reader, x: Symbol, sizes: int | Sequence[int], dim: int = 0) -> list[Symbol]:
    axis = g.axis(dim, x)
    total = x.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, total - s) for s in range(0, total, sizes)]
    edges = np.cumsum([0, *sizes])
    parts = []
    for low, high in itertools.pairwise(edges):
        shape = x.shape[:axis] + (int(high - low),) + x.shape[axis + 1 :]
        indices = tuple(range(low, high))
        parts.append(g.add("slice", x, shape=shape, axis=axis, indices=indices))
    return parts


@torch_function("einsum")
def _einsum(g: Reader, equation: str, *operands: Any) -> Symbol:
    if len(operands) == 1 and not isinstance(operands[0], Symbol):
        operands = tuple(operands[0])
    equation = equation.replace(" ", "")
    if len(operands) != 2 or "->" not in equation or "." in equation:
        raise g.unsupported(f"of {equation!r}", "two operands, 'bpf,bpg->bfg', without '...'")
    left, right = equation.split("->")[0].split(",")
    out = equation.split("->")[1]
    x, y = operands
    if is_constant(x):
        x, y, left, right = y, x, right, left
    batch = left[0]
    if out[:1] != batch or (not is_constant(y) and right[:1] != batch):
        raise g.unsupported(f"of {equation!r}", "the batch axis first in each operand")
    if is_constant(y):
        if batch in right or not out[1:]:
            raise g.unsupported(
                f"of {equation!r}", "a constant and an output with axes of an event"
            )
        y, right = _summed(np.asarray(y), right, left + out)
        if not right:
            raise g.unsupported(f"of {equation!r}", "multiplication by a constant")
        return g.add("einsum_dense", x, kernel=y, equation=f"{left[1:]},{right}->{out[1:]}")
    return g.add("einsum", x, y, equation=f"{left[1:]},{right[1:]}->{out[1:]}")


def _summed(constant: Array, letters: str, used: str) -> tuple[Array, str]:
    """`constant` summed over those of its axes that neither the other operand nor the output has."""
    axes = tuple(i for i, letter in enumerate(letters) if letter not in used)
    kept = "".join(letter for letter in letters if letter in used)
    return constant.sum(axis=axes), kept


@torch_function("matmul", "bmm")
def _matmul(g: Reader, x: Any, y: Any) -> Symbol:
    letters = "cdefghijk"
    if is_constant(x) or (is_constant(y) and np.ndim(y) != 2):
        raise g.unsupported("with such a constant", "x @ matrix, or Linear")
    if is_constant(y):
        return g.add("linear", x, kernel=np.asarray(y))
    if len(x.shape) != len(y.shape) or len(x.shape) < 2:
        raise g.unsupported(f"of shapes {x.shape} and {y.shape}", "(N, i, j) @ (N, j, k)")
    lead = letters[: len(x.shape) - 2]
    return g.add("einsum", x, y, equation=f"{lead}xy,{lead}yz->{lead}xz")


@torch_function("linear")
def _linear_function(g: Reader, x: Symbol, weight: Any, bias: Any = None) -> Symbol:
    if not is_constant(weight):
        raise g.unsupported("with a computed weight", "matmul or einsum")
    extra: dict[str, Any] = {} if bias is None else {"bias": np.asarray(bias)}
    return g.add("linear", x, kernel=np.asarray(weight).T, **extra)
