"""What a converter of a torch operation works with: the registries, and the reader it is handed.

A function and the tensor method of the same name share a converter, whose arguments are torch's.
To add an operation: write a converter (torch_modules.py, torch_functions.py) and decorate it with
its torch name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

from triggerforge.compression.graph import Array, Graph, Layer, Shape
from triggerforge.errors import UnsupportedOperationError
from triggerforge.registry import Registry

EVENTS = 7  # a size that no axis of a network is likely to have: tells the batch axis from others

Converter = Callable[..., Any]
MODULES: Registry[Converter] = Registry("torch module")
FUNCTIONS: Registry[Converter] = Registry("torch function")
C = TypeVar("C", bound=Converter)

_TABLE = "none; docs/lowering.md lists what has one"
_MASK = "multiplication by a 0/1 input, such as the contract's `valid`"
_NEAREST = {
    "LSTM": "a Linear over the flattened sequence, or Conv1d",
    "GRU": "a Linear over the flattened sequence, or Conv1d",
    "RNN": "a Linear over the flattened sequence, or Conv1d",
    "LayerNorm": "BatchNorm1d, which folds into the weights",
    "GroupNorm": "BatchNorm1d or BatchNorm2d, which fold into the weights",
    "InstanceNorm1d": "BatchNorm1d, which folds into the weights",
    "MultiheadAttention": "its Linear layers, einsum and softmax written out",
    "Embedding": "Linear on a one-hot input",
    "GLU": "its two Linear layers, sigmoid and a product",
    "abs": "maximum(x, -x)",
    "clamp": "relu6 or hardtanh, or maximum and minimum with a constant",
    "gt": _MASK,
    "ge": _MASK,
    "lt": _MASK,
    "le": _MASK,
    "eq": _MASK,
    "ne": _MASK,
    "round": "nothing: the quantisers round",
    "floor": "nothing: the quantisers round",
    "ceil": "nothing: the quantisers round",
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
        close = get_close_matches(self.what, known, n=1, cutoff=0.75)
        nearest = nearest or _NEAREST.get(self.what, close[0] if close else _TABLE)
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
        shape = np.broadcast_shapes(x.shape, *(c.shape for c in constants))
        if shape != x.shape:
            x = self.add("expand", x, shape=shape)
        return self.add("affine", x, shape=shape, scale=constants[0], offset=constants[1])

    def _per_event(self, constant: Any, x: Symbol) -> Array:
        array = np.asarray(constant, np.float32)
        rank = len(x.shape) + 1
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        if array.shape[0] == EVENTS and (array == array[:1]).all():
            array = array[:1]
        if array.ndim != rank or array.shape[0] != 1:
            raise self.unsupported("with a constant that differs between events", "one per input")
        if not np.isfinite(array).all():
            raise self.unsupported("with a constant of NaN or inf", "a large finite number")
        event: Array = array[0]
        return event


def torch_module(*names: str) -> Callable[[C], C]:
    """Registers a converter `(reader, module, x)` for the classes of torch.nn called `names`."""
    return _register(MODULES, names)


def torch_function(*names: str) -> Callable[[C], C]:
    """Registers a converter `(reader, *torch's arguments)` for functions and methods `names`."""
    return _register(FUNCTIONS, names)


def _register(registry: Registry[Converter], names: tuple[str, ...]) -> Callable[[C], C]:
    def store(converter: C) -> C:
        for name in names:
            registry.register(name)(converter)
        return converter

    return store


def is_constant(value: Any) -> bool:
    """Whether `value` is known before any event: a number or an array."""
    return isinstance(value, int | float | np.ndarray)
