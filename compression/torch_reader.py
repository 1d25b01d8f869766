"""A torch module as the neutral graph: one small converter an operation.

`torch.fx` records what the module does; a run on a few events gives every shape and every constant.
A function and the tensor method of the same name share a converter, whose arguments are torch's.
To add an operation: write a converter and decorate it with its torch name.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from triggerforge.compression.graph import Array, Graph, Layer, Shape
from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, UnsupportedOperationError
from triggerforge.registry import Registry

_EVENTS = 7  # a size that no axis of a network is likely to have: tells the batch axis from others

Converter = Callable[..., Any]
MODULES: Registry[Converter] = Registry("torch module")
FUNCTIONS: Registry[Converter] = Registry("torch function")

_NEAREST = {
    "LSTM": "a Linear over the flattened sequence, or Conv1d",
    "GRU": "a Linear over the flattened sequence, or Conv1d",
    "RNN": "a Linear over the flattened sequence, or Conv1d",
    "LayerNorm": "BatchNorm1d, which folds into the weights",
    "GroupNorm": "BatchNorm1d or BatchNorm2d, which fold into the weights",
    "InstanceNorm1d": "BatchNorm1d, which folds into the weights",
    "MultiheadAttention": "its Linear layers, einsum and softmax written out",
    "Embedding": "Linear on a one-hot input",
    "sqrt": "a table activation such as tanh or exp",
    "sin": "a table activation such as tanh",
    "cos": "a table activation such as tanh",
    "log": "a table activation such as softplus",
    "where": "multiplication by a 0/1 mask",
    "sort": "an order fixed by the input contract",
    "topk": "an order fixed by the input contract, and slicing",
    "div": "multiplication by a constant, or softmax",
    "truediv": "multiplication by a constant, or softmax",
    "norm": "the sum of squares x * x",
    "std": "the mean of squares x * x",
}


@dataclass(frozen=True)
class Symbol:
    """A tensor of the network while it is read: the layer that makes it, its shape less batch."""

    name: str
    shape: Shape


@dataclass
class Reader:
    """Where converters put layers; knows the torch node under way."""

    graph: Graph = field(default_factory=Graph)
    path: str = ""
    """module path of the node under way"""
    what: str = ""
    """its operation"""
    shape: Shape = ()
    """shape of its output, less batch"""

    def add(self, op: str, *inputs: Symbol, shape: Shape | None = None, **content: Any) -> Symbol:
        """Appends a layer; arrays in `content` become weights, the rest attributes."""
        weights = {k: v for k, v in content.items() if isinstance(v, np.ndarray)}
        layer = Layer(
            name=self.path.replace(".", "_") or op,
            op=op,
            inputs=tuple(i.name for i in inputs),
            shape=self.shape if shape is None else shape,
            path=self.path,
            weights={k: v.astype(np.float32) for k, v in weights.items()},
            attrs={k: v for k, v in content.items() if k not in weights},
        )
        layer = self.graph.add(layer)
        return Symbol(layer.name, layer.shape)

    def unsupported(self, why: str, nearest: str = "") -> UnsupportedOperationError:
        """The error for the node under way."""
        known = {**dict.fromkeys(MODULES), **dict.fromkeys(FUNCTIONS)}
        close = get_close_matches(self.what, known, n=1, cutoff=0.0)
        nearest = nearest or _NEAREST.get(self.what, close[0] if close else "Linear")
        where = self.path or "the module's forward"
        return UnsupportedOperationError(
            f"{where}: {self.what} {why}; nearest supported form: {nearest}"
        )

    def axis(self, dim: int, symbol: Symbol) -> int:
        """torch's `dim` (batch counted) as an axis of the shape less batch."""
        axis = dim + len(symbol.shape) + 1 if dim < 0 else dim
        if axis == 0:
            raise self.unsupported("acts along the batch axis", "an axis of one event")
        return axis - 1

    def axes(self, dim: int | Sequence[int] | None, symbol: Symbol) -> tuple[int, ...]:
        """`dim` as a tuple of axes."""
        if dim is None:
            raise self.unsupported("without dim acts along the batch axis", "dim=1 or more")
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        return tuple(sorted(self.axis(d, symbol) for d in dims))

    def affine(self, x: Symbol, scale: Any = 1.0, offset: Any = 0.0) -> Symbol:
        """x * scale + offset with constants that broadcast against one event."""
        constants = [self._per_event(c, x) for c in (scale, offset)]
        return self.add("affine", x, scale=constants[0], offset=constants[1])

    def _per_event(self, constant: Any, x: Symbol) -> Array:
        array = np.asarray(constant, np.float32)
        rank = len(x.shape) + 1
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        if array.shape[0] == _EVENTS and (array == array[:1]).all():
            array = array[:1]
        if array.ndim != rank or array.shape[0] != 1:
            raise self.unsupported("with a constant that differs between events", "one per input")
        return array[0]


def read_torch(module: nn.Module, contract: InputContract) -> Graph:
    """The neutral graph of `module`, called with x (N, *contract.shape) in eval mode.

    Raises UnsupportedOperationError for an operation without a fixed-point form, ModelError where
    the module cannot be traced or does not take such inputs.
    """
    traced, values = _run_traced(module, contract)
    reader = Reader()
    known: dict[fx.Node, Any] = {}
    for node in traced.graph.nodes:
        if node.op == "output":
            result = known[node.args[0]] if isinstance(node.args[0], fx.Node) else node.args[0]
            if not isinstance(result, Symbol):
                raise ModelError(
                    f"the module gives back {type(result).__name__}, not one tensor computed from "
                    "its input; return the logits (N, classes) only"
                )
            reader.graph.output = result.name
        else:
            known[node] = _convert(reader, traced, node, values[node], known)
    return reader.graph


def _run_traced(
    module: nn.Module, contract: InputContract
) -> tuple[fx.GraphModule, dict[fx.Node, Any]]:
    """The traced module, and what every node gave for a few events."""
    was_training = module.training
    module.eval()
    try:
        traced = fx.symbolic_trace(module)
    except Exception as error:
        raise ModelError(
            f"torch.fx cannot trace {type(module).__name__}: {error}; forward(x) must not branch "
            "on the values of x"
        ) from error
    finally:
        module.train(was_training)
    recorder = _Recorder(traced)
    parameter = next(module.parameters(), None)
    device = "cpu" if parameter is None else parameter.device
    x = torch.rand(_EVENTS, *contract.shape, device=device)
    try:
        with torch.no_grad():
            recorder.run(x)
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__} does not take inputs of shape (N, "
            f"{', '.join(map(str, contract.shape))}): {str(error).splitlines()[0]}"
        ) from error
    return traced, recorder.values


class _Recorder(fx.Interpreter):
    """Runs the graph and keeps what every node gave."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]


def _convert(
    reader: Reader, traced: fx.GraphModule, node: fx.Node, value: Any, known: dict[fx.Node, Any]
) -> Any:
    args = fx.map_arg(node.args, known.__getitem__)
    kwargs = fx.map_arg(node.kwargs, known.__getitem__)
    reader.shape = tuple(value.shape[1:]) if isinstance(value, torch.Tensor) else ()
    reader.path = _module_path(node)
    if node.op == "placeholder":
        reader.path = "input"
        return reader.add("input")
    symbols = [s for s in _flat([args, kwargs]) if isinstance(s, Symbol)]
    if node.op == "get_attr" or not symbols or not _holds_tensor(value):
        return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    if isinstance(value, torch.Tensor) and value.shape[:1] != (_EVENTS,):
        reader.what = str(node.target)
        raise reader.unsupported("mixes events: the batch axis is not first", "reshape per event")
    if node.op == "call_module":
        target = traced.get_submodule(str(node.target))
        reader.what = type(target).__name__
        return _call(reader, MODULES, reader.what, (target, *args), kwargs)
    reader.what = str(getattr(node.target, "__name__", node.target)).rstrip("_")
    return _call(reader, FUNCTIONS, reader.what, args, kwargs)


def _call(reader: Reader, registry: Registry[Converter], name: str, args: Any, kwargs: Any) -> Any:
    if name not in registry:
        raise reader.unsupported("has no fixed-point form here")
    converter = registry[name]
    try:
        bound = inspect.signature(converter).bind(reader, *args, **kwargs)
    except TypeError as error:
        raise reader.unsupported(f"with these arguments is not supported ({error})") from error
    return converter(*bound.args, **bound.kwargs)


def _module_path(node: fx.Node) -> str:
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack") or {}
    inside = [str(path) for path, _ in stack.values()] if stack else []
    return ".".join(filter(None, [inside[-1] if inside else "", node.name]))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _flat(item)]
    if isinstance(value, dict):
        return _flat(list(value.values()))
    if isinstance(value, slice):
        return _flat([value.start, value.stop, value.step])
    return [value]


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) for leaf in _flat(value))


def _array(tensor: torch.Tensor | None) -> Array:
    assert tensor is not None
    array: Array = tensor.detach().cpu().numpy().astype(np.float32)
    return array


def _is_constant(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray)


# ---- modules -------------------------------------------------------------------------------------


@MODULES.register("Linear")
def _linear(g: Reader, module: nn.Linear, x: Symbol) -> Symbol:
    bias = {} if module.bias is None else {"bias": _array(module.bias)}
    return g.add("linear", x, kernel=_array(module.weight).T, **bias)


def _conv(g: Reader, module: Any, x: Symbol) -> Symbol:
    if module.padding_mode != "zeros":
        raise g.unsupported(f"with padding_mode={module.padding_mode!r}", "padding_mode='zeros'")
    if any(d != 1 for d in module.dilation):
        raise g.unsupported(f"with dilation={module.dilation}", "dilation=1")
    kernel = np.moveaxis(_array(module.weight), (0, 1), (-1, -2))
    bias = {} if module.bias is None else {"bias": _array(module.bias)}
    padding = _padding(module.padding, module.kernel_size)
    attrs = {"stride": tuple(module.stride), "padding": padding, "groups": module.groups}
    return g.add("conv", x, kernel=kernel, **bias, **attrs)


def _padding(padding: Any, kernel: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Zeros (before, after) along each axis."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        return tuple(((k - 1) // 2, k // 2) for k in kernel)
    sizes = (padding,) * len(kernel) if isinstance(padding, int) else padding
    return tuple((p, p) for p in sizes)


MODULES.register("Conv1d")(_conv)
MODULES.register("Conv2d")(_conv)


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


MODULES.register("BatchNorm1d")(_batch_norm)
MODULES.register("BatchNorm2d")(_batch_norm)


def _same(g: Reader, *args: Any, **kwargs: Any) -> Any:
    """Operations that change nothing at inference; the tensor follows the module, if there is one."""
    return next(a for a in args if isinstance(a, Symbol))


for _name in ("Identity", "Dropout", "Dropout1d", "Dropout2d", "AlphaDropout"):
    MODULES.register(_name)(_same)
for _name in ("dropout", "contiguous", "detach", "clone", "float", "to"):
    FUNCTIONS.register(_name)(_same)


@MODULES.register("Flatten")
def _flatten_module(g: Reader, module: nn.Flatten, x: Symbol) -> Symbol:
    return _reshape(g, x)


@MODULES.register("Softmax")
def _softmax_module(g: Reader, module: nn.Softmax, x: Symbol) -> Symbol:
    return _softmax(g, x, module.dim)


@MODULES.register("LeakyReLU")
def _leaky_relu_module(g: Reader, module: nn.LeakyReLU, x: Symbol) -> Symbol:
    return _leaky_relu(g, x, module.negative_slope)


@MODULES.register("GELU")
def _gelu_module(g: Reader, module: nn.GELU, x: Symbol) -> Symbol:
    return _gelu(g, x, module.approximate)


@MODULES.register("ELU")
def _elu_module(g: Reader, module: nn.ELU, x: Symbol) -> Symbol:
    return _elu(g, x, module.alpha)


def _pool(kind: str) -> Converter:
    def convert(g: Reader, module: Any, x: Symbol) -> Symbol:
        rank = len(x.shape) - 1
        size, stride, padding = (
            (v,) * rank if isinstance(v, int) else tuple(v)
            for v in (module.kernel_size, module.stride, module.padding)
        )
        if getattr(module, "ceil_mode", False) or any(padding):
            raise g.unsupported("with padding or ceil_mode", "sizes that divide the image")
        if any(d != 1 for d in np.ravel(getattr(module, "dilation", 1))):
            raise g.unsupported(f"with dilation={module.dilation}", "dilation=1")
        if kind == "average" and math.log2(math.prod(size)) % 1:
            raise g.unsupported(f"over {math.prod(size)} pixels", "a window of 2^k pixels")
        return g.add("pool", x, kind=kind, size=size, stride=stride)

    return convert


for _rank in (1, 2):
    MODULES.register(f"MaxPool{_rank}d")(_pool("max"))
    MODULES.register(f"AvgPool{_rank}d")(_pool("average"))


def _adaptive(kind: str) -> Converter:
    def convert(g: Reader, module: Any, x: Symbol) -> Symbol:
        if any(s not in (1, None) for s in np.ravel(np.asarray(module.output_size, object))):
            raise g.unsupported(f"to {module.output_size}", "output_size=1")
        dims = tuple(range(2, len(x.shape) + 1))
        return (_amax if kind == "max" else _mean)(g, x, dims, keepdim=True)

    return convert


for _rank in (1, 2):
    MODULES.register(f"AdaptiveAvgPool{_rank}d")(_adaptive("average"))
    MODULES.register(f"AdaptiveMaxPool{_rank}d")(_adaptive("max"))

# ---- functions and methods -----------------------------------------------------------------------


@FUNCTIONS.register("relu")
def _relu(g: Reader, x: Symbol, inplace: bool = False) -> Symbol:
    return g.add("relu", x)


MODULES.register("ReLU")(lambda g, module, x: _relu(g, x))


def _table(function: str) -> Converter:
    def convert(g: Reader, x: Symbol, inplace: bool = False) -> Symbol:
        return g.add("table", x, function=function)

    return convert


_TABLES = {
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
for _name, _function in _TABLES.items():
    FUNCTIONS.register(_name.lower())(_table(_function))
FUNCTIONS.register("exp")(_table("exponential"))


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
for _name, _function in _TABLES.items():
    MODULES.register(_name)(_plain_module(_function, _DEFAULTS.get(_name, {})))


@FUNCTIONS.register("gelu")
def _gelu(g: Reader, x: Symbol, approximate: str = "none") -> Symbol:
    return g.add("table", x, function="gelu" if approximate == "none" else "gelu_tanh")


@FUNCTIONS.register("leaky_relu")
def _leaky_relu(
    g: Reader, x: Symbol, negative_slope: float = 0.01, inplace: bool = False
) -> Symbol:
    return g.add("table", x, function="leaky_relu", slope=float(negative_slope))


@FUNCTIONS.register("elu")
def _elu(g: Reader, x: Symbol, alpha: float = 1.0, inplace: bool = False) -> Symbol:
    if alpha != 1.0:
        raise g.unsupported(f"with alpha={alpha}", "elu with alpha=1")
    return g.add("table", x, function="elu")


@FUNCTIONS.register("softmax")
def _softmax(g: Reader, x: Symbol, dim: int | None = None, _stacklevel: int = 3) -> Symbol:
    return g.add("softmax", x, axes=g.axes(dim, x))


def _merge(g: Reader, op: str, x: Symbol, y: Symbol) -> Symbol:
    if len(x.shape) != len(y.shape):
        raise g.unsupported(f"of shapes {x.shape} and {y.shape}", "equal numbers of axes")
    return g.add(op, x, y)


@FUNCTIONS.register("add")
def _add(g: Reader, x: Any, y: Any, *, alpha: float = 1) -> Symbol:
    if alpha != 1:
        raise g.unsupported(f"with alpha={alpha}", "alpha=1")
    if _is_constant(x):
        x, y = y, x
    return g.affine(x, offset=y) if _is_constant(y) else _merge(g, "add", x, y)


@FUNCTIONS.register("sub")
def _sub(g: Reader, x: Any, y: Any, *, alpha: float = 1) -> Symbol:
    if alpha != 1:
        raise g.unsupported(f"with alpha={alpha}", "alpha=1")
    if _is_constant(x):
        return g.affine(y, scale=-1.0, offset=x)
    return g.affine(x, offset=np.negative(y)) if _is_constant(y) else _merge(g, "subtract", x, y)


@FUNCTIONS.register("mul")
def _mul(g: Reader, x: Any, y: Any) -> Symbol:
    if _is_constant(x):
        x, y = y, x
    return g.affine(x, scale=y) if _is_constant(y) else _merge(g, "multiply", x, y)


@FUNCTIONS.register("truediv")
def _div(g: Reader, x: Any, y: Any) -> Symbol:
    if not _is_constant(y) or _is_constant(x):
        raise g.unsupported("by a tensor has no fixed-point form here")
    return g.affine(x, scale=1.0 / np.asarray(y, np.float64))


@FUNCTIONS.register("neg")
def _neg(g: Reader, x: Symbol) -> Symbol:
    return g.affine(x, scale=-1.0)


@FUNCTIONS.register("square")
def _square(g: Reader, x: Symbol) -> Symbol:
    return g.add("multiply", x, x)


@FUNCTIONS.register("pow")
def _pow(g: Reader, x: Symbol, exponent: Any) -> Symbol:
    if exponent != 2:
        raise g.unsupported(f"with exponent {exponent}", "x ** 2")
    return _square(g, x)


@FUNCTIONS.register("maximum")
def _maximum(g: Reader, x: Symbol, y: Symbol) -> Symbol:
    return _merge(g, "maximum", x, y)


@FUNCTIONS.register("minimum")
def _minimum(g: Reader, x: Symbol, y: Symbol) -> Symbol:
    return _merge(g, "minimum", x, y)


_ALIASES = {
    "iadd": "add",
    "isub": "sub",
    "imul": "mul",
    "multiply": "mul",
    "subtract": "sub",
    "div": "truediv",
    "true_divide": "truediv",
    "negative": "neg",
}
for _name, _target in _ALIASES.items():
    FUNCTIONS.register(_name)(FUNCTIONS[_target])


@FUNCTIONS.register("reshape")
def _reshape(g: Reader, x: Symbol, *shape: Any, **named: Any) -> Symbol:
    return g.add("reshape", x)


for _name in ("view", "flatten", "squeeze", "unsqueeze", "unflatten"):
    FUNCTIONS.register(_name)(_reshape)


@FUNCTIONS.register("permute")
def _permute(g: Reader, x: Symbol, *dims: Any) -> Symbol:
    flat = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return g.add("transpose", x, axes=tuple(g.axis(d, x) for d in flat[1:]))


@FUNCTIONS.register("transpose")
def _transpose(g: Reader, x: Symbol, dim0: int, dim1: int) -> Symbol:
    axes = list(range(len(x.shape)))
    a, b = g.axis(dim0, x), g.axis(dim1, x)
    axes[a], axes[b] = axes[b], axes[a]
    return g.add("transpose", x, axes=tuple(axes))


for _name in ("swapaxes", "swapdims"):
    FUNCTIONS.register(_name)(_transpose)


@FUNCTIONS.register("cat")
def _cat(g: Reader, tensors: Sequence[Any], dim: int = 0) -> Symbol:
    if not all(isinstance(t, Symbol) for t in tensors):
        raise g.unsupported("with a constant", "cat of tensors computed from the input")
    return g.add("concat", *tensors, axis=g.axis(dim, tensors[0]))


for _name in ("concat", "concatenate"):
    FUNCTIONS.register(_name)(_cat)


@FUNCTIONS.register("stack")
def _stack(g: Reader, tensors: Sequence[Symbol], dim: int = 0) -> Symbol:
    axis = g.axis(dim, Symbol("", g.shape))
    thin = g.shape[:axis] + (1,) + g.shape[axis + 1 :]
    return g.add("concat", *[g.add("reshape", t, shape=thin) for t in tensors], axis=axis)


@FUNCTIONS.register("expand")
def _expand(g: Reader, x: Symbol, *sizes: Any) -> Symbol:
    if len(g.shape) != len(x.shape):
        raise g.unsupported(f"from {x.shape} to {g.shape}", "unsqueeze, then expand")
    return g.add("expand", x)


@FUNCTIONS.register("expand_as")
def _expand_as(g: Reader, x: Symbol, other: Symbol) -> Symbol:
    return _expand(g, x)


@FUNCTIONS.register("sum")
def _sum(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Symbol:
    return g.add("sum", x, axes=g.axes(dim, x), keepdims=keepdim, scale=1.0)


@FUNCTIONS.register("mean")
def _mean(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Symbol:
    axes = g.axes(dim, x)
    count = math.prod(x.shape[a] for a in axes)
    power = 2.0 ** -math.ceil(math.log2(count))
    total = g.add("sum", x, axes=axes, keepdims=keepdim, scale=power)
    return total if power * count == 1.0 else g.affine(total, scale=1.0 / (power * count))


@FUNCTIONS.register("amax")
def _amax(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Symbol:
    return g.add("max", x, axes=g.axes(dim, x), keepdims=keepdim)


@FUNCTIONS.register("max")
def _max(g: Reader, x: Symbol, dim: Any = None, keepdim: bool = False) -> Any:
    if isinstance(dim, Symbol):
        return _maximum(g, x, dim)
    axes = g.axes(dim, x)
    kept = tuple(1 if a in axes else s for a, s in enumerate(x.shape))
    shape = kept if keepdim else tuple(s for a, s in enumerate(x.shape) if a not in axes)
    return _MaxResult(g.add("max", x, axes=axes, keepdims=keepdim, shape=shape))


@dataclass(frozen=True)
class _MaxResult:
    """What torch.max(x, dim) gives back; only the values have a fixed-point form."""

    values: Symbol


@FUNCTIONS.register("getattr")
def _getattr(g: Reader, x: Any, name: str) -> Symbol:
    if name == "values" and isinstance(x, _MaxResult):
        return x.values
    if name in ("T", "mT") and isinstance(x, Symbol):
        return _transpose(g, x, -1, -2)
    raise g.unsupported(f"{name!r} has no fixed-point form here", "permute or transpose")


@FUNCTIONS.register("getitem")
def _getitem(g: Reader, x: Any, index: Any) -> Symbol:
    if isinstance(x, _MaxResult):
        if index != 0:
            raise g.unsupported("of the indices of max", "its values, [0]")
        return x.values
    if isinstance(x, list | tuple):
        picked = x[index]
        assert isinstance(picked, Symbol)
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


@FUNCTIONS.register("chunk")
def _chunk(g: Reader, x: Symbol, chunks: int, dim: int = 0) -> list[Symbol]:
    size = math.ceil(x.shape[g.axis(dim, x)] / chunks)
    return _split(g, x, size, dim)


@FUNCTIONS.register("split")
def _split(g: Reader, x: Symbol, sizes: int | Sequence[int], dim: int = 0) -> list[Symbol]:
    axis = g.axis(dim, x)
    total = x.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, total - s) for s in range(0, total, sizes)]
    edges = np.cumsum([0, *sizes])
    parts = []
    for low, high in zip(edges, edges[1:], strict=False):
        shape = x.shape[:axis] + (int(high - low),) + x.shape[axis + 1 :]
        indices = tuple(range(low, high))
        parts.append(g.add("slice", x, shape=shape, axis=axis, indices=indices))
    return parts


@FUNCTIONS.register("einsum")
def _einsum(g: Reader, equation: str, *operands: Any) -> Symbol:
    if len(operands) == 1 and not isinstance(operands[0], Symbol):
        operands = tuple(operands[0])
    equation = equation.replace(" ", "")
    if len(operands) != 2 or "->" not in equation or "." in equation:
        raise g.unsupported(f"of {equation!r}", "two operands, 'bpf,bpg->bfg', without '...'")
    left, right = equation.split("->")[0].split(",")
    out = equation.split("->")[1]
    x, y = operands
    if _is_constant(x):
        x, y, left, right = y, x, right, left
    batch = left[0]
    if out[:1] != batch or (not _is_constant(y) and right[:1] != batch):
        raise g.unsupported(f"of {equation!r}", "the batch axis first in each operand")
    if _is_constant(y):
        if batch in right:
            raise g.unsupported(f"of {equation!r}", "a constant without the batch axis")
        return g.add("einsum_dense", x, kernel=y, equation=f"{left[1:]},{right}->{out[1:]}")
    return g.add("einsum", x, y, equation=f"{left[1:]},{right[1:]}->{out[1:]}")


@FUNCTIONS.register("matmul")
def _matmul(g: Reader, x: Any, y: Any) -> Symbol:
    letters = "cdefghijk"
    if _is_constant(x) or (_is_constant(y) and np.ndim(y) != 2):
        raise g.unsupported("with such a constant", "x @ matrix, or Linear")
    if _is_constant(y):
        return g.add("linear", x, kernel=np.asarray(y))
    if len(x.shape) != len(y.shape) or len(x.shape) < 2:
        raise g.unsupported(f"of shapes {x.shape} and {y.shape}", "(N, i, j) @ (N, j, k)")
    lead = letters[: len(x.shape) - 2]
    return g.add("einsum", x, y, equation=f"{lead}xy,{lead}yz->{lead}xz")


FUNCTIONS.register("bmm")(_matmul)


@FUNCTIONS.register("linear")
def _linear_function(g: Reader, x: Symbol, weight: Any, bias: Any = None) -> Symbol:
    if not _is_constant(weight):
        raise g.unsupported("with a computed weight", "matmul or einsum")
    extra = {} if bias is None else {"bias": np.asarray(bias)}
    return g.add("linear", x, kernel=np.asarray(weight).T, **extra)
