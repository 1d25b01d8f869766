"""What a writer of Keras layers works with: tensors with their order of axes, quantisers, names.

Transposes cost nothing: a `Value` remembers in which order its Keras axes hold torch's, and the
axes are permuted only where an operation asks for an order (a reshape, a convolution).
Sums, slices and copies are matrix products with fixed powers of two, because hls4ml 1.3 takes
those from an HGQ2 model and has no form for QSum or a slice.
To add an operation: write a function (model, layer, inputs) → Value and register it by its name.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.graph import Array, Layer
from triggerforge.compression.scheme import QuantizationScheme, magnitude_bits
from triggerforge.data.contract import InputContract
from triggerforge.fixedpoint import Overflow
from triggerforge.registry import Registry

LETTERS = "abcdefghijklmnopqrstuvwxy"
ADDER_COST = 0.65  # EBOPs of an addition in units of a product with one bit, as in HGQ2's QSum

Order = tuple[int, ...]


@dataclass(frozen=True)
class Formats:
    """Sign, integer bits (less sign) and fraction of every element of a tensor, in torch's axes."""

    k: NDArray[np.int64]
    i: NDArray[np.int64]
    f: NDArray[np.int64]

    def map(self, function: Callable[[NDArray[Any]], NDArray[Any]]) -> "Formats":
        """The formats after a move of elements."""
        return Formats(function(self.k), function(self.i), function(self.f))


@dataclass(frozen=True)
class Value:
    """A Keras tensor; its axis a (batch not counted) is torch's axis `order[a]`.

    `port` holds the formats where the elements are the network's inputs, only moved about.
    """

    tensor: Any
    order: Order
    port: Formats | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """In torch's order."""
        kept = tuple(self.tensor.shape[1:])
        return tuple(kept[self.order.index(a)] for a in range(len(kept)))


Writer = Callable[["Model", Layer, list[Value]], Value]
WRITERS: Registry[Writer] = Registry("operation")


@dataclass
class Model:
    """The Keras model while it is written."""

    contract: InputContract
    scheme: QuantizationScheme | None
    names: set[str] = field(default_factory=set)

    def name(self, wanted: str) -> str:
        """A Keras name, unique in the model, that is also a C identifier."""
        base = re.sub(r"\W", "_", wanted)
        base = base if base[:1].isalpha() else f"layer_{base}"
        name, count = base, 1
        while name in self.names:
            name, count = f"{base}_{count}", count + 1
        self.names.add(name)
        return name

    def quantised(self, *values: Value) -> dict[str, Any]:
        """Arguments of an HGQ2 layer that quantises the inputs `values`."""
        if self.scheme is None:
            return {"enable_iq": False, "enable_ebops": False}
        confs = [self.scheme.activation(len(v.order), port=v.port is not None) for v in values]
        key, conf = ("iq_conf", confs[0]) if len(confs) == 1 else ("iq_confs", confs)
        return {key: conf, "enable_iq": True, "beta0": self.scheme.beta}

    def moved(self, value: Value) -> dict[str, Any]:
        """Arguments of an HGQ2 layer that only moves elements about."""
        if self.scheme is None or value.port is None:
            return {"enable_iq": False, "enable_ebops": False}
        fixed = replace(
            self.scheme,
            trainable=False,
            activation_granularity="channel",
            input_overflow=Overflow.SAT,
        )
        conf = fixed.activation(len(value.order), port=True)
        return {"iq_conf": conf, "enable_iq": True, "enable_ebops": False}

    def weights(self, **ranks: int) -> dict[str, Any]:
        """Arguments of an HGQ2 layer with a kernel and a bias of these ranks."""
        if self.scheme is None:
            return {key: hgq.config.QuantizerConfig("dummy") for key in ranks}
        return {key: self.scheme.weight(rank) for key, rank in ranks.items()}

    def start(self, layer: Any, *values: Value) -> None:
        """Sets the bits that a built layer starts with: its weights', and those of input ports."""
        if self.scheme is None:
            return
        for quantizer, name, bits in (
            (getattr(layer, "kq", None), "_kernel", self.scheme.weight_bits),
            (getattr(layer, "bq", None), "bias", self.scheme.bias_bits),
        ):
            if quantizer is not None:
                values_of = getattr(layer, name)
                start_weight_bits(quantizer, np.asarray(values_of), bits)
        if not layer.enable_iq:
            return
        quantizers = [layer.iq] if len(values) == 1 else list(layer.iq)
        for quantizer, value in zip(quantizers, values, strict=True):
            if value.port is not None:
                start_port_bits(quantizer, value.port, value.order)


def start_weight_bits(quantizer: Any, weights: NDArray[Any], bits: int) -> None:
    """Gives each weight the bits that it needs at the tensor's step (see QuantizationScheme)."""
    inner = quantizer.quantizer
    integers = magnitude_bits(weights)
    step = integers.max(initial=-60) - (bits - 1)
    if step <= -60:
        return
    shared = tuple(int(a) for a in inner.bw_mapper.homogeneous_axis)
    integers = integers.max(axis=shared, keepdims=True)
    needed = np.clip(integers - step, 0, bits - 1)
    inner._b.assign(needed)
    inner._i.assign(np.where(needed > 0, integers, step))


def start_port_bits(quantizer: Any, port: Formats, order: Order) -> None:
    """Gives the quantiser of a network input the formats of the contract, and marks it as a port's."""
    quantizer.is_port = True
    inner = quantizer.quantizer
    shared = tuple(int(a) for a in inner.bw_mapper.homogeneous_axis)
    for variable, values in ((inner._k, port.k), (inner._i, port.i), (inner._f, port.f)):
        kept = np.transpose(values, order)[None]
        variable.assign(kept.max(axis=shared, keepdims=True))


def arranged(model: Model, value: Value, order: Order | None = None) -> Value:
    """`value` with its axes in `order` (torch's, where none is given)."""
    wanted = tuple(range(len(value.order))) if order is None else order
    if value.order == wanted:
        return value
    dims = tuple(value.order.index(a) + 1 for a in wanted)
    layer = keras.layers.Permute(dims, name=model.name("permute"))
    return replace(value, tensor=layer(value.tensor), order=wanted)


def last(value: Value, axis: int) -> Order:
    """The value's order with torch's `axis` moved to the end."""
    return tuple(a for a in value.order if a != axis) + (axis,)


def einsum_by(
    model: Model,
    name: str,
    value: Value,
    equation: str,
    kernel: Array,
    order: Order,
    iq: bool,
    ebops_factor: float = 1.0,
    port: Formats | None = None,
) -> Value:
    """`value` times a fixed `kernel` of zeros and powers of two, exact and never trained.

    `equation` is in the Keras order of axes; `order` is that of the result. With `iq` the input is
    quantised and the sum's EBOPs are counted; without, elements are only moved: at most a network
    input goes through a quantiser of the contract's own formats, for which hls4ml asks.
    """
    out_shape = _einsum_shape(equation, value.tensor.shape[1:], kernel.shape)
    unit = int(np.log2(np.abs(kernel).max()))
    kq = (
        hgq.config.QuantizerConfig("dummy")
        if model.scheme is None
        else hgq.config.QuantizerConfig(
            "kbi", "weight", k0=0, b0=1, i0=unit + 1, bc=None, trainable=False, br=None,
            overflow_mode="SAT_SYM", homogeneous_axis=tuple(range(kernel.ndim)),
        )
    )  # fmt: skip
    quantised = model.quantised(value) if iq else model.moved(value)
    layer = hgq.layers.QEinsumDense(
        batched(equation),
        out_shape,
        kq_conf=kq,
        ebops_factor=ebops_factor,
        trainable=iq and model.scheme is not None,
        name=model.name(name),
        **quantised,
    )
    tensor = layer(value.tensor)
    layer._kernel.assign(kernel)
    layer._kernel.trainable = False
    if layer.enable_iq and value.port is not None:
        start_port_bits(layer.iq, value.port, value.order)
    return Value(tensor, order, port)


def moved_along(
    model: Model, name: str, value: Value, axis: int, kernel: Array, port: Formats | None
) -> Value:
    """`value` times a `kernel` (size, new size) of zeros and ones along torch's `axis`: wires.

    `port` are the formats of the result where its elements are the network's inputs.
    """
    letters = LETTERS[: len(value.order)]
    given = "".join(letters[a] for a in value.order)
    new = letters[axis].upper()
    equation = f"{given},{letters[axis]}{new}->{given.replace(letters[axis], new)}"
    return einsum_by(model, name, value, equation, kernel, value.order, iq=False, port=port)


def _einsum_shape(equation: str, left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    inputs, out = equation.split("->")
    first, second = inputs.split(",")
    sizes = dict(zip(first, left, strict=True)) | dict(zip(second, right, strict=True))
    return tuple(sizes[letter] for letter in out)


# ---- operations ----------------------------------------------------------------------------------


def assign(layer: Any, kernel: Array, bias: Array | None) -> None:
    layer._kernel.assign(kernel)
    if bias is not None:
        layer.bias.assign(bias)


def batched(equation: str, both: bool = False) -> str:
    """`equation` with a batch axis first in the input, in `both` inputs, and in the output."""
    batch = next(c for c in reversed(LETTERS + "z") if c not in equation)
    terms, out = equation.split("->")
    first, second = terms.split(",")
    return f"{batch}{first},{batch if both else ''}{second}->{batch}{out}"
