"""Writers of elementwise operations."""

import math
from typing import Any

import numpy as np

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.graph import Layer
from triggerforge.compression.keras_layers import (
    LETTERS,
    WRITERS,
    Model,
    Order,
    Value,
    Writer,
    arranged,
    einsum_by,
)
from triggerforge.compression.keras_products import einsum_of
from triggerforge.compression.tables import GeluTanh, LeakyRelu


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
    lone = any(size == 1 for size in (math.prod(first.shape), math.prod(second.shape)))
    if (
        first.shape == second.shape or lone
    ):  # hls4ml has no tensor without axes: one number is copied
        return _merge_writer("QMultiply")(model, layer, inputs)
    letters = LETTERS[: len(layer.shape)]
    terms, squeezed = [], []
    for value in (first, second):
        kept = tuple(a for a in value.order if value.shape[a] > 1 or layer.shape[a] == 1)
        squeezed.append(_without_axes(model, layer, value, kept))
        terms.append("".join(letters[a] for a in kept))
    order = first.order
    out = "".join(letters[a] for a in order)
    return einsum_of(model, layer, squeezed, f"{terms[0]},{terms[1]}->{out}", order)


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
    letters = LETTERS[: len(layer.shape)]
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
