"""Writers of the input, of moves of elements, and of reductions."""

from collections.abc import Sequence

import numpy as np

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.graph import Layer
from triggerforge.compression.keras_layers import (
    ADDER_COST,
    LETTERS,
    WRITERS,
    Formats,
    Model,
    Value,
    arranged,
    einsum_by,
    moved_along,
)


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


@WRITERS.register("concat")
def _concat(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    order = inputs[0].order
    values = [arranged(model, value, order) for value in inputs]
    axis = layer.attrs["axis"]
    place = order.index(axis) - len(order)  # from the end: hls4ml counts without the batch
    concat = keras.layers.Concatenate(axis=place, name=model.name(layer.name))
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
    port = value.port.map(lambda a: np.take(a, indices, axis)) if value.port else None
    return moved_along(model, layer.name, value, axis, kernel, port)


@WRITERS.register("sum")
def _sum(model: Model, layer: Layer, inputs: list[Value]) -> Value:
    (value,) = inputs
    axes = layer.attrs["axes"]
    rank = len(value.order)
    letters = LETTERS[:rank]
    inner = "".join(letters[a] for a in value.order if a in axes)
    given = "".join(letters[a] for a in value.order)
    out = "".join(c for c in given if c not in inner)
    sizes = [value.shape[letters.index(c)] for c in inner]
    kept = tuple(a for a in value.order if a not in axes)
    order = tuple(sorted(kept).index(a) for a in kept)
    if not kept:  # hls4ml has no tensor without axes: a vector of one
        inner, out, sizes, order = inner + "z", "z", [*sizes, 1], (0,)
    kernel = np.full(sizes, layer.attrs["scale"])
    total = einsum_by(
        model,
        layer.name,
        value,
        f"{given},{inner}->{out}",
        kernel.astype(np.float32),
        order,
        iq=True,
        ebops_factor=ADDER_COST,
    )
    return _restored(model, layer, total, axes)


def _restored(model: Model, layer: Layer, value: Value, axes: Sequence[int]) -> Value:
    """With `keepdims`, puts the reduced axes back with size one."""
    if not layer.attrs["keepdims"] or value.shape == layer.shape:
        return value
    value = arranged(model, value)
    shape = [] if len(axes) == len(layer.shape) else list(value.shape)
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
