"""The neutral graph as a Keras model of HGQ2 layers: one small writer an operation.

Transposes cost nothing: a `Value` remembers in which order its Keras axes hold torch's, and the
axes are permuted only where an operation asks for an order (a reshape, a convolution).
Sums, slices and copies are matrix products with fixed powers of two, because hls4ml 1.3 takes
those from an HGQ2 model and has no form for QSum or a slice.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.graph import Array, Graph, Layer
from triggerforge.compression.scheme import QuantizationScheme, magnitude_bits
from triggerforge.compression.tables import GeluTanh, LeakyRelu
from triggerforge.data.contract import InputContract
from triggerforge.fixedpoint import Overflow
from triggerforge.registry import Registry

_LETTERS = "abcdefghijklmnopqrstuvwxy"
_ADDER_COST = 0.65  # EBOPs of an addition in units of a product with one bit, as in HGQ2's QSum

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


def write_keras(
    graph: Graph, contract: InputContract, scheme: QuantizationScheme | None
) -> keras.Model:
    """A Keras model (N, *contract.shape) → (N, outputs) of HGQ2 layers with the graph's weights."""
    model = Model(contract, scheme)
    values: dict[str, Value] = {}
    for layer in graph:
        values[layer.name] = WRITERS[layer.op](model, layer, [values[i] for i in layer.inputs])
    output = arranged(model, values[graph.output])
    entry = values[next(iter(graph)).name]
    return keras.Model(entry.tensor, output.tensor, name="network")


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
    """Gives the quantiser of a network input the formats of the contract."""
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
        _batched(equation),
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


def _einsum_shape(equation: str, left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    inputs, out = equation.split("->")
    first, second = inputs.split(",")
    sizes = dict(zip(first, left, strict=True)) | dict(zip(second, right, strict=True))
    return tuple(sizes[letter] for letter in out)


# ---- operations ----------------------------------------------------------------------------------


@WRITERS.register("input")
def _input(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    formats = [feature.format for feature in model.contract.features]
    shape = model.contract.shape
    port = Formats(
        *(
            np.broadcast_to(np.array(column), shape)
            for column in (
                [int(f.signed) for f in formats],
                [f.integer - f.signed for f in formats],
                [f.fraction for f in formats],
            )
        )
    )
    return Value(keras.Input(shape, name=model.name("x")), tuple(range(len(shape))), port)


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
    _assign(dense, kernel, bias)
    model.start(dense, value)
    return Value(tensor, value.order)


def _assign(layer: Any, kernel: Array, bias: Array | None) -> None:
    layer._kernel.assign(kernel)
    if bias is not None:
        layer.bias.assign(bias)


@WRITERS.register("conv")
def _conv(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    rank = len(layer.shape)
    value = arranged(model, inputs[0], (*range(1, rank), 0))
    kernel, bias = layer.weights["kernel"], layer.weights.get("bias")
    stride, padding = layer.attrs["stride"], layer.attrs["padding"]
    plain = all(s == 1 for s in stride) and layer.attrs["groups"] == 1
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
        groups=layer.attrs["groups"],
        activation=layer.attrs.get("activation"),
        use_bias=bias is not None,
        name=model.name(layer.name),
        **model.weights(kq_conf=rank + 1, bq_conf=1),
        **model.quantised(value),
    )
    tensor = conv(value.tensor)
    _assign(conv, kernel, bias)
    model.start(conv, value)
    return Value(tensor, value.order)


def _padded(model: Model, layer: Layer, value: Value) -> tuple[Value, Array, str]:
    """The input, the kernel and Keras' word for the padding, which together pad as torch does.

    Keras' "same" puts the odd zero behind, torch pads both sides alike. A kernel with one more
    row of zeros can make them agree; where it cannot, the zeros become a layer, for which hls4ml
    1.3 has no form.
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
    name = model.name(f"{layer.name}_pad")
    if len(padding) == 1:
        pad: Any = keras.layers.ZeroPadding1D(padding[0], name=name)
    else:
        pad = keras.layers.ZeroPadding2D(padding, name=name)
    around = ((0, 0), *padding)
    port = value.port.map(lambda a: np.pad(a, around, mode="edge")) if value.port else None
    return replace(value, tensor=pad(value.tensor), port=port), kernel, "valid"


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
    letters = _LETTERS[:rank]
    inner = "".join(letters[a] for a in varying)
    with_bias = bool(offset.any())
    dense = hgq.layers.QEinsumDense(
        _batched(f"{letters},{inner}->{letters}"),
        tuple(value.tensor.shape[1:]),
        bias_axes=inner if with_bias else None,
        name=model.name(layer.name),
        **model.weights(kq_conf=len(shape), bq_conf=len(shape)),
        **model.quantised(value),
    )
    tensor = dense(value.tensor)
    _assign(dense, scale, offset.reshape(dense.bias.shape) if with_bias else None)
    model.start(dense, value)
    return Value(tensor, value.order)


@WRITERS.register("relu")
def _relu(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    relu = keras.layers.Activation("relu", name=model.name(layer.name))
    return Value(relu(value.tensor), value.order)


@WRITERS.register("table")
def _table(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    function: Any = layer.attrs["function"]
    if function == "leaky_relu":
        function = LeakyRelu(layer.attrs["slope"])
    if function == "gelu_tanh":
        function = GeluTanh()
    name = model.name(layer.name)
    if model.scheme is None:
        return Value(keras.layers.Activation(function, name=name)(value.tensor), value.order)
    quantised = model.quantised(value)
    table = hgq.layers.QUnaryFunctionLUT(
        function,
        oq_conf=model.scheme.table(),
        allow_heterogeneous_table=False,
        name=name,
        **quantised,
    )
    tensor = table(value.tensor)
    model.start(table, value)
    return Value(tensor, value.order)


@WRITERS.register("softmax")
def _softmax(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    axes = tuple(value.order.index(a) + 1 for a in layer.attrs["axes"])
    name = model.name(layer.name)
    if model.scheme is None:
        return Value(keras.layers.Softmax(axes, name=name)(value.tensor), value.order)
    softmax = hgq.layers.QSoftmax(
        axes,
        exp_iq_conf=model.scheme.activation(len(value.order)),
        exp_oq_conf=model.scheme.table(),
        inv_iq_conf=model.scheme.activation(len(value.order)),
        inv_oq_conf=model.scheme.table(),
        name=name,
        beta0=model.scheme.beta,
    )
    return Value(softmax(value.tensor), value.order)


def _merge_writer(kind: str) -> Writer:
    def write(model: Model, layer: Layer, inputs: list[Value]) -> Value:
        first = expanded(model, layer, inputs[0])
        second = expanded(model, layer, arranged(model, inputs[1], inputs[0].order))
        merge = getattr(hgq.layers, kind)(
            name=model.name(layer.name), **model.quantised(first, second)
        )
        tensor = merge([first.tensor, second.tensor])
        model.start(merge, first, second)
        return Value(tensor, first.order)

    return write


for _op, _kind in {
    "add": "QAdd",
    "subtract": "QSubtract",
    "maximum": "QMaximum",
    "minimum": "QMinimum",
}.items():
    WRITERS.register(_op)(_merge_writer(_kind))


@WRITERS.register("multiply")
def _multiply(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    """Elementwise where the shapes agree, else an einsum, in which the lacking axes are absent."""
    first, second = inputs
    if first.shape == second.shape:
        return _merge_writer("QMultiply")(model, layer, inputs)
    letters = _LETTERS[: len(layer.shape)]
    terms, squeezed = [], []
    for value in (first, second):
        kept = tuple(a for a in value.order if value.shape[a] > 1 or layer.shape[a] == 1)
        squeezed.append(_without_axes(model, layer, value, kept))
        terms.append("".join(letters[a] for a in kept))
    order = first.order
    out = "".join(letters[a] for a in order)
    return _einsum_of(model, layer, squeezed, f"{terms[0]},{terms[1]}->{out}", order)


def _without_axes(model: Model, layer: Layer, value: Value, kept: Order) -> Value:
    """`value` without its axes of size one that are not in `kept`; `order` then is by rank."""
    if len(kept) == len(value.order):
        return value
    ranks = tuple(sorted(kept).index(a) for a in kept)
    dropped = tuple(a for a in range(len(value.order)) if a not in kept)
    shape = tuple(value.shape[a] for a in kept)
    reshape = keras.layers.Reshape(shape, name=model.name(f"{layer.name}_squeeze"))
    port = value.port.map(lambda a: np.squeeze(a, dropped)) if value.port else None
    return Value(reshape(value.tensor), ranks, port)


def expanded(model: Model, layer: Layer, value: Value) -> Value:
    """`value` copied along the axes on which `layer.shape` is larger."""
    wide = [a for a in range(len(layer.shape)) if value.shape[a] != layer.shape[a]]
    if not wide:
        return value
    letters = _LETTERS[: len(layer.shape)]
    given = "".join(letters[a] for a in value.order)
    inner = "".join(letters[a] + letters[a].upper() for a in wide)
    out = "".join(letters[a].upper() if a in wide else letters[a] for a in value.order)
    kernel = np.ones([s for a in wide for s in (1, layer.shape[a])], np.float32)
    port = value.port.map(lambda a: np.broadcast_to(a, layer.shape)) if value.port else None
    return einsum_by(
        model,
        f"{layer.name}_expand",
        value,
        f"{given},{inner}->{out}",
        kernel,
        value.order,
        iq=False,
        port=port,
    )


@WRITERS.register("expand")
def _expand(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    return expanded(model, layer, inputs[0])


@WRITERS.register("einsum")
def _einsum(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    left, out = layer.attrs["equation"].split("->")
    terms = [
        "".join(term[a] for a in value.order)
        for term, value in zip(left.split(","), inputs, strict=True)
    ]
    order = tuple(range(len(out)))
    return _einsum_of(model, layer, inputs, f"{terms[0]},{terms[1]}->{out}", order)


def _einsum_of(
    model: Model, layer: Layer, inputs: list[Value], equation: str, order: Order
) -> Value:
    """A product of two tensors; `equation` without batch, in the Keras order of axes."""
    einsum = hgq.layers.QEinsum(
        _batched(equation, both=True), name=model.name(layer.name), **model.quantised(*inputs)
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
        _batched(f"{given},{right}->{out}"),
        layer.shape,
        name=model.name(layer.name),
        **model.weights(kq_conf=kernel.ndim),
        **model.quantised(value),
    )
    tensor = dense(value.tensor)
    _assign(dense, kernel, None)
    model.start(dense, value)
    return Value(tensor, tuple(range(len(out))))


def _batched(equation: str, both: bool = False) -> str:
    """`equation` with a batch axis first in the input, in `both` inputs, and in the output."""
    batch = next(c for c in reversed(_LETTERS + "z") if c not in equation)
    terms, out = equation.split("->")
    first, second = terms.split(",")
    return f"{batch}{first},{batch if both else ''}{second}->{batch}{out}"


@WRITERS.register("concat")
def _concat(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    order = inputs[0].order
    values = [arranged(model, value, order) for value in inputs]
    axis = layer.attrs["axis"]
    concat = keras.layers.Concatenate(axis=order.index(axis) + 1, name=model.name(layer.name))
    ports = [value.port for value in values if value.port is not None]
    port = None
    if len(ports) == len(values):
        port = Formats(
            *(np.concatenate([getattr(p, c) for p in ports], axis) for c in ("k", "i", "f"))
        )
    return Value(concat([value.tensor for value in values]), order, port)


@WRITERS.register("reshape")
def _reshape(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    value = arranged(model, inputs[0])
    reshape = keras.layers.Reshape(layer.shape, name=model.name(layer.name))
    port = value.port.map(lambda a: a.reshape(layer.shape)) if value.port else None
    return Value(reshape(value.tensor), tuple(range(len(layer.shape))), port)


@WRITERS.register("transpose")
def _transpose(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    axes = layer.attrs["axes"]
    port = value.port.map(lambda a: np.transpose(a, axes)) if value.port else None
    return Value(value.tensor, tuple(axes.index(a) for a in value.order), port)


@WRITERS.register("slice")
def _slice(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    axis, indices = layer.attrs["axis"], layer.attrs["indices"]
    kernel = np.zeros((value.shape[axis], len(indices)), np.float32)
    kernel[list(indices), range(len(indices))] = 1
    letters = _LETTERS[: len(layer.shape)]
    given = "".join(letters[a] for a in value.order)
    inner = letters[axis] + letters[axis].upper()
    port = value.port.map(lambda a: np.take(a, indices, axis)) if value.port else None
    equation = f"{given},{inner}->{given.replace(letters[axis], letters[axis].upper())}"
    return einsum_by(model, layer.name, value, equation, kernel, value.order, iq=False, port=port)


@WRITERS.register("sum")
def _sum(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    axes = layer.attrs["axes"]
    rank = len(value.order)
    letters = _LETTERS[:rank]
    inner = "".join(letters[a] for a in value.order if a in axes)
    given = "".join(letters[a] for a in value.order)
    out = "".join(c for c in given if c not in inner)
    kernel = np.full([value.shape[letters.index(c)] for c in inner], layer.attrs["scale"])
    kept = tuple(a for a in value.order if a not in axes)
    order = tuple(sorted(kept).index(a) for a in kept)
    total = einsum_by(
        model,
        layer.name,
        value,
        f"{given},{inner}->{out}",
        kernel.astype(np.float32),
        order,
        iq=True,
        ebops_factor=_ADDER_COST,
    )
    return _restored(model, layer, total, axes)


def _restored(model: Model, layer: Layer, value: Value, axes: Sequence[int]) -> Value:
    """With `keepdims`, puts the reduced axes back with size one."""
    if not layer.attrs["keepdims"]:
        return value
    value = arranged(model, value)
    shape = list(value.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    reshape = keras.layers.Reshape(shape, name=model.name(f"{layer.name}_keepdim"))
    return Value(reshape(value.tensor), tuple(range(len(shape))))


@WRITERS.register("max")
def _max(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    """Global pooling over the reduced axes, brought to the front as one; the rest are channels."""
    (value,) = inputs
    axes = layer.attrs["axes"]
    kept = tuple(a for a in range(len(value.order)) if a not in axes)
    value = arranged(model, value, (*axes, *kept))
    sizes = value.shape
    rows = int(np.prod([sizes[a] for a in axes]))
    flat = keras.layers.Reshape((rows, -1), name=model.name(f"{layer.name}_rows"))(value.tensor)
    port = (
        value.port.map(lambda a: np.transpose(a, (*axes, *kept)).reshape(rows, -1))
        if value.port
        else None
    )
    table = Value(flat, (0, 1), port)
    pool = hgq.layers.QGlobalMaxPooling1D(name=model.name(layer.name), **model.quantised(table))
    tensor = pool(flat)
    model.start(pool, table)
    shape = tuple(sizes[a] for a in kept)
    if len(shape) != 1:
        tensor = keras.layers.Reshape(shape, name=model.name(f"{layer.name}_shape"))(tensor)
    return _restored(model, layer, Value(tensor, tuple(range(len(shape)))), axes)


@WRITERS.register("pool")
def _pool(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    rank = len(layer.shape)
    value = arranged(model, inputs[0], (*range(1, rank), 0))
    word = "Max" if layer.attrs["kind"] == "max" else "Average"
    pool = getattr(hgq.layers, f"Q{word}Pooling{rank - 1}D")(
        layer.attrs["size"],
        strides=layer.attrs["stride"],
        name=model.name(layer.name),
        **model.quantised(value),
    )
    tensor = pool(value.tensor)
    model.start(pool, value)
    return Value(tensor, value.order)
