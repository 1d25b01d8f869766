"""A QKeras model file (Keras 2, `.h5`) as an HGQ2 model with the same bits.

Keras 3 cannot load such a file, and no code of it is run: the configuration is JSON, the weights
are arrays. Weights are rounded as QKeras rounds them; each activation quantiser becomes a fixed
quantiser of HGQ2. A last softmax is left out: the model gives logits, in the same order.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.qkeras_quantizer import parse_quantizer
from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, UnsupportedOperationError
from triggerforge.fixedpoint import FixedFormat

_MAX_CONFIG = 2**24  # bytes
_MAX_WEIGHTS = 2**26  # numbers
Record = dict[str, Any]


@dataclass(frozen=True)
class _Value:
    """A Keras tensor, and the format that all its elements have; None where they have no one."""

    tensor: Any
    format: FixedFormat | None


@dataclass(frozen=True)
class _Layer:
    """A layer of the file."""

    kind: str
    name: str
    config: Record
    weights: dict[str, NDArray[np.float32]]
    where: str


def read_qkeras(path: Path, contract: InputContract) -> keras.Model:
    """The HGQ2 model (N, *contract.shape) → (N, outputs) of the QKeras file `path`.

    Raises ModelError where the file cannot be read or does not fit the contract,
    UnsupportedOperationError for a layer or quantiser without a form here.
    """
    first, *layers = _read_layers(path)
    shape = tuple((first.config.get("batch_input_shape") or [None])[1:])
    if first.kind == "InputLayer" and shape != contract.shape:
        raise ModelError(
            f"{path}: the model takes inputs of shape {shape}, the contract says {contract.shape}"
        )
    if first.kind != "InputLayer":
        layers = [first, *layers]
    entry = keras.Input(contract.shape, name="x")
    value = _Value(entry, _port(contract))
    for position, layer in enumerate(layers):
        if layer.kind not in _CONVERTERS:
            raise UnsupportedOperationError(
                f"{layer.where}: layer {layer.kind!r}; supported are {sorted(_CONVERTERS)}"
            )
        if _is_softmax(layer):
            if position != len(layers) - 1:
                raise UnsupportedOperationError(f"{layer.where}: softmax before the last layer")
            break
        value = _CONVERTERS[layer.kind](layer, value)
    return keras.Model(entry, value.tensor, name="qkeras")


def _read_layers(path: Path) -> list[_Layer]:
    """The layers of a chain, in order."""
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs["model_config"]
            if len(text) > _MAX_CONFIG:
                raise ModelError(f"{path}: a configuration of {len(text)} bytes is too large")
            _require_keras_2(file, path)
            config = json.loads(text)["config"]
            records = config["layers"] if isinstance(config, dict) else config
            return [_layer(record, file["model_weights"], path) for record in _chain(records, path)]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path} is no QKeras model as Keras 2 saves it with model.save('….h5'): {error}"
        ) from error


def _require_keras_2(file: h5py.File, path: Path) -> None:
    found = str(file.attrs.get("keras_version", "2"))
    if not found.startswith("2"):
        raise ModelError(
            f"{path} was saved by Keras {found}, a QKeras file by Keras 2; save an HGQ2 model with "
            "model.save('….keras')"
        )


def _chain(records: list[Record], path: Path) -> list[Record]:
    for before, record in pairwise(records):
        sources = [node[0] for call in record.get("inbound_nodes", []) for node in call]
        if sources and sources != [before["config"]["name"]]:
            raise UnsupportedOperationError(
                f"{path}: layer {record['config']['name']!r} reads {sources}; only a chain of "
                "layers, each with one input, is supported"
            )
    return records


def _layer(record: Record, groups: Any, path: Path) -> _Layer:
    name = str(record["config"]["name"])
    weights = {}
    if name in groups:
        found: list[tuple[str, Any]] = []
        groups[name].visititems(
            lambda key, item: found.append((key, item)) if isinstance(item, h5py.Dataset) else None
        )
        if sum(item.size for _, item in found) > _MAX_WEIGHTS:
            raise ModelError(f"{path}: layer {name!r} claims more than {_MAX_WEIGHTS} weights")
        weights = {
            key.rsplit("/", 1)[-1].split(":")[0]: np.asarray(item, np.float32)
            for key, item in found
        }
    return _Layer(record["class_name"], name, record["config"], weights, f"{path}: {name}")


def _port(contract: InputContract) -> FixedFormat:
    """One format that holds every input exactly."""
    formats = [feature.format for feature in contract.features]
    signed = any(f.signed for f in formats)
    integer = max(f.integer - f.signed for f in formats) + signed
    return FixedFormat(integer + max(f.fraction for f in formats), integer, signed)


def _is_softmax(layer: _Layer) -> bool:
    return layer.config.get("activation") == "softmax" or layer.kind == "Softmax"


def _quantizer(fmt: FixedFormat, place: str) -> Any:
    """HGQ2's quantiser of that format, for all elements, not trained."""
    return hgq.config.QuantizerConfig(
        "kif",
        place,
        k0=int(fmt.signed),
        i0=fmt.integer - fmt.signed,
        f0=fmt.fraction,
        round_mode=str(fmt.rounding),
        overflow_mode=str(fmt.overflow),
        homogeneous_axis=None,
        heterogeneous_axis=(),
        trainable=False,
        ic=None,
        fc=None,
        ir=None,
        fr=None,
    )


def _weighted(make: Callable[..., Any]) -> Callable[[_Layer, _Value], _Value]:
    """A converter of a layer with kernel and bias; `make` takes the layer and HGQ2's arguments."""

    def convert(layer: _Layer, value: _Value) -> _Value:
        if value.format is None:
            raise UnsupportedOperationError(
                f"{layer.where}: its input is not quantised; put a QActivation before it"
            )
        activation = layer.config.get("activation")
        if activation not in ("linear", None):
            raise UnsupportedOperationError(
                f"{layer.where}: activation {activation!r} inside the layer; nearest supported "
                "form: a QActivation after it"
            )
        _, kernel_format = parse_quantizer(layer.config["kernel_quantizer"], layer.where)
        kernel = kernel_format.quantize(layer.weights["kernel"])
        arguments: Record = {"kq_conf": _quantizer(kernel_format, "weight")}
        use_bias = bool(layer.config.get("use_bias", True))
        if use_bias:
            _, bias_format = parse_quantizer(layer.config["bias_quantizer"], layer.where)
            arguments["bq_conf"] = _quantizer(bias_format, "bias")
        built = make(
            layer,
            use_bias=use_bias,
            name=layer.name,
            iq_conf=_quantizer(value.format, "datalane"),
            **arguments,
        )
        tensor = built(value.tensor)
        built._kernel.assign(kernel)
        if use_bias:
            built.bias.assign(bias_format.quantize(layer.weights["bias"]))
        return _Value(tensor, None)

    return convert


def _dense(layer: _Layer, **arguments: Any) -> Any:
    return hgq.layers.QDense(layer.config["units"], **arguments)


def _conv(kind: str) -> Callable[..., Any]:
    def make(layer: _Layer, **arguments: Any) -> Any:
        config = layer.config
        if any(d != 1 for d in config.get("dilation_rate", [1])) or config.get("groups", 1) != 1:
            raise UnsupportedOperationError(f"{layer.where}: dilation or groups; use 1")
        keys = ("filters", "kernel_size", "strides", "padding")
        return getattr(hgq.layers, kind)(**{k: config[k] for k in keys}, **arguments)

    return make


def _activation(layer: _Layer, value: _Value) -> _Value:
    name, fmt = parse_quantizer(layer.config["activation"], layer.where)
    tensor = value.tensor
    if name == "quantized_relu":
        tensor = keras.layers.Activation("relu", name=f"{layer.name}_relu")(tensor)
    quantizer = hgq.quantizer.Quantizer(_quantizer(fmt, "datalane"), name=layer.name)
    # the next layer's quantiser repeats the format: hls4ml merges the two, and keeps the last
    return _Value(quantizer(tensor), fmt)


def _moved(layer: _Layer, value: _Value) -> _Value:
    """Layers that only move or choose elements: Keras 3 has them under the same name."""
    names = ("target_shape", "dims", "pool_size", "strides", "padding")
    options = {k: layer.config[k] for k in names if k in layer.config}
    kind = getattr(keras.layers, layer.kind)
    return _Value(kind(name=layer.name, **options)(value.tensor), value.format)


def _nothing(layer: _Layer, value: _Value) -> _Value:
    if layer.kind == "Activation" and layer.config.get("activation") not in ("linear", "softmax"):
        raise UnsupportedOperationError(
            f"{layer.where}: Activation {layer.config.get('activation')!r}; nearest supported "
            "form: QActivation"
        )
    return value


_CONVERTERS: dict[str, Callable[[_Layer, _Value], _Value]] = {
    "QDense": _weighted(_dense),
    "QConv1D": _weighted(_conv("QConv1D")),
    "QConv2D": _weighted(_conv("QConv2D")),
    "QActivation": _activation,
    "Activation": _nothing,
    "Softmax": _nothing,
    "Dropout": _nothing,
    "Flatten": _moved,
    "Reshape": _moved,
    "Permute": _moved,
    "MaxPooling1D": _moved,
    "MaxPooling2D": _moved,
}
