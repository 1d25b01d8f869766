"""The neutral layer graph as a QKeras model. Runs in the QKeras environment, which has no triggerforge.

Each converter is given the layer's record and its input tensors and gives back the output tensor.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from qkeras import QActivation, QConv1D, QConv2D, QDense

Record = dict[str, Any]
Weights = dict[str, Any]


def layer_name(record: Record) -> str:
    """hls4ml makes C++ names of them and keeps some words to itself, `input` among them."""
    return f"q_{record['name']}"


class Builder:
    """Quantisers, and the weights to set once the model is whole."""

    def __init__(self, bits: dict[str, int], weights: Weights) -> None:
        self.bits = bits
        self.weights = weights
        self.initial: dict[str, list[Any]] = {}

    def kernel_quantizer(self) -> str:
        """Signed, one integer bit less the sign; alpha=1: no scale outside the bits."""
        return f"quantized_bits({self.bits['weight']},{self.bits['weight_integer']},alpha=1)"

    def relu_quantizer(self) -> str:
        """Unsigned, rounded, saturating."""
        return f"quantized_relu({self.bits['activation']},{self.bits['activation_integer']})"

    def weighted(self, kind: Any, record: Record, x: Any, **options: Any) -> Any:
        """A layer with kernel and bias, both quantised alike."""
        kernel = self.weights[f"{record['name']}/kernel"]
        bias = self.weights.get(f"{record['name']}/bias", np.zeros(kernel.shape[-1], np.float32))
        self.initial[layer_name(record)] = [kernel, bias]
        layer = kind(
            name=layer_name(record),
            kernel_quantizer=self.kernel_quantizer(),
            bias_quantizer=self.kernel_quantizer(),
            **options,
        )
        return layer(x)


Converter = Callable[[Builder, Record, Any], Any]


def _linear(builder: Builder, record: Record, x: Any) -> Any:
    return builder.weighted(QDense, record, x, units=record["shape"][-1])


def _conv(builder: Builder, record: Record, x: Any) -> Any:
    """The graph has channels first, Keras last: turned on the way in and back on the way out."""
    attrs = record["attrs"]
    rank = len(record["shape"]) - 1
    size = builder.weights[f"{record['name']}/kernel"].shape[:rank]
    kind = QConv1D if rank == 1 else QConv2D
    options = {"filters": record["shape"][0], "kernel_size": size, "strides": attrs["stride"]}
    y = builder.weighted(kind, record, _channels_last(x, layer_name(record)), **options)
    return _channels_first(y, layer_name(record))


def _pool(builder: Builder, record: Record, x: Any) -> Any:
    attrs = record["attrs"]
    rank = len(record["shape"]) - 1
    name = f"{'Max' if attrs['kind'] == 'max' else 'Average'}Pooling{rank}D"
    layer = getattr(tf.keras.layers, name)(
        pool_size=attrs["size"], strides=attrs["stride"], name=layer_name(record)
    )
    return _channels_first(layer(_channels_last(x, layer_name(record))), layer_name(record))


def _channels_last(x: Any, name: str) -> Any:
    rank = len(x.shape) - 1
    return tf.keras.layers.Permute((*range(2, rank + 1), 1), name=f"{name}_last")(x)


def _channels_first(x: Any, name: str) -> Any:
    rank = len(x.shape) - 1
    return tf.keras.layers.Permute((rank, *range(1, rank)), name=f"{name}_first")(x)


def _relu(builder: Builder, record: Record, x: Any) -> Any:
    return QActivation(builder.relu_quantizer(), name=layer_name(record))(x)


def _reshape(builder: Builder, record: Record, x: Any) -> Any:
    return tf.keras.layers.Reshape(tuple(record["shape"]), name=layer_name(record))(x)


def _transpose(builder: Builder, record: Record, x: Any) -> Any:
    axes = [axis + 1 for axis in record["attrs"]["axes"]]
    return tf.keras.layers.Permute(tuple(axes), name=layer_name(record))(x)


CONVERTERS: dict[str, Converter] = {
    "linear": _linear,
    "conv": _conv,
    "pool": _pool,
    "relu": _relu,
    "reshape": _reshape,
    "transpose": _transpose,
}


def build(graph: Record, weights: Weights, bits: dict[str, int]) -> Any:
    """The Keras model of `graph` with `weights` set.

    The other side has looked that there is a converter for every layer (`require_qkeras_form`).
    """
    builder = Builder(bits, weights)
    first, *layers = graph["layers"]
    entry = tf.keras.Input(tuple(first["shape"]), name="x")
    tensors = {first["name"]: entry}
    for record in layers:
        output = CONVERTERS[record["op"]](builder, record, tensors[record["inputs"][0]])
        if record["attrs"].get("activation") == "relu":
            output = _relu(builder, {"name": f"{record['name']}_relu"}, output)
        tensors[record["name"]] = output
    model = tf.keras.Model(entry, tensors[graph["output"]])
    for name, values in builder.initial.items():
        model.get_layer(name).set_weights(values)
    return model
