"""A QKeras model file (Keras 2, `.h5`) as an HGQ2 model with the same bits.

Keras 3 cannot load such a file, and no code of it is run: the configuration is JSON, the weights
are arrays. Weights are rounded as QKeras rounds them; each activation quantiser becomes a fixed
quantiser of HGQ2. A last softmax or sigmoid is left out: the model gives logits, in the same order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.model_hdf5 import checked_hdf5, first_line
from triggerforge.compression.model_json import parse_json
from triggerforge.compression.qkeras_quantizer import parse_quantizer
from triggerforge.data.contract import InputContract
from triggerforge.errors import (
    ArtifactError,
    ModelError,
    TriggerForgeError,
    UnsupportedOperationError,
)
from triggerforge.fixedpoint import FixedFormat

_SQUASHING = ("softmax", "sigmoid")
Record = dict[str, Any]


@dataclass(frozen=True)
class _Value:
    """A Keras tensor, and the format that all its elements have; None where they have no one."""

    tensor: Any
    format: FixedFormat | None


@dataclass(frozen=True)
class QKerasLayer:
    """A layer of the file."""

    kind: str
    name: str
    config: Record
    weights: dict[str, NDArray[np.float32]]
    where: str


def read_qkeras(path: Path, contract: InputContract) -> keras.Model:
    """The HGQ2 model (N, *contract.shape) → (N, outputs) of the QKeras file `path`.

    Raises ArtifactError where the file cannot be read, reads outside itself or is damaged, ModelError
    where it does not fit the contract, UnsupportedOperationError for a layer or quantiser without a form
    here.
    """
    first, *layers = read_layers(path)
    shape = input_shape(first)
    if shape is not None and shape != contract.shape:
        raise ModelError(
            f"{path}: the model takes inputs of shape {shape}, the contract says {contract.shape}"
        )
    if first.kind != "InputLayer":
        layers = [first, *layers]
    entry = keras.Input(contract.shape, name="x")
    value = _Value(entry, _port(contract))
    for position, layer in enumerate(layers):
        if why := unsupported(layer):
            raise UnsupportedOperationError(f"{layer.where}: {why}")
        squashing = _squashing(layer)
        if squashing and position != len(layers) - 1:
            raise UnsupportedOperationError(f"{layer.where}: {squashing} before the last layer")
        if squashing:
            layer = replace(layer, config={**layer.config, "activation": "linear"})
        with _naming(layer):
            value = _CONVERTERS[layer.kind](layer, value)
    return keras.Model(entry, value.tensor, name="qkeras")


def unsupported(layer: QKerasLayer) -> str:
    """Why a layer of this class has no form here; empty where it has one."""
    if layer.kind in _CONVERTERS or layer.kind == "InputLayer":
        return ""
    return f"layer {layer.kind!r}; supported are {sorted(_CONVERTERS)}"


@contextmanager
def _naming(layer: QKerasLayer) -> Iterator[None]:
    """What Keras and numpy say of a layer that makes no sense, in one line that names it."""
    try:
        yield
    except TriggerForgeError as error:
        if layer.where in str(error):
            raise
        raise ModelError(f"{layer.where}: {error}") from error
    except Exception as error:  # Keras raises of all kinds
        raise ModelError(
            f"{layer.where}: {layer.kind} cannot be built as the file says: {first_line(error)}; save "
            "the model again"
        ) from error


def input_shape(first: QKerasLayer) -> tuple[int, ...] | None:
    """The shape of one event, as the first layer gives it; None where it does not say."""
    shape = first.config.get("batch_input_shape")
    if shape is None and first.kind != "InputLayer":
        return None
    if not isinstance(shape, list | tuple) or not all(isinstance(s, int) for s in shape[1:]):
        raise ModelError(
            f"{first.where}: inputs of shape {str(shape)[:80]}; every axis needs a size"
        )
    return tuple(shape[1:])


def read_layers(path: Path) -> list[QKerasLayer]:
    """The layers of a chain, in order, with their weights; raises what `read_qkeras` raises."""
    with checked_hdf5(_content(path), str(path)) as file:
        if "model_config" not in file.attrs or "model_weights" not in file:
            raise ArtifactError(
                f"{path} is no QKeras model as Keras 2 saves it with model.save('….h5'): it lacks "
                "model_config or model_weights"
            )
        _require_keras_2(file, path)
        record = parse_json(file.attrs["model_config"], f"{path}: model_config")
        try:
            records = _chain(record, path)
            return [_layer(each, file["model_weights"], path) for each in records]
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ArtifactError(
                f"{path} is no QKeras model as Keras 2 saves it with model.save('….h5'): "
                f"{first_line(error)}"
            ) from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: {error}; give the path of a model file") from error


def _require_keras_2(file: h5py.File, path: Path) -> None:
    found = str(file.attrs.get("keras_version", "2"))
    if not found.startswith("2"):
        raise ModelError(
            f"{path} was saved by Keras {found}, a QKeras file by Keras 2; save an HGQ2 model with "
            "model.save('….keras')"
        )


def _chain(record: Record, path: Path) -> list[Record]:
    """The records of the layers; raises UnsupportedOperationError where they are no chain."""
    config = record["config"]
    records: list[Record] = config["layers"] if isinstance(config, dict) else config
    if not records:
        raise ModelError(f"{path} holds no layers")
    graph = record["class_name"] in ("Functional", "Model")
    for before, after in pairwise(records):
        sources = [node[0] for call in after.get("inbound_nodes", []) for node in call]
        if sources != [before["config"]["name"]] and (graph or sources):
            raise UnsupportedOperationError(
                f"{path}: layer {after['config']['name']!r} reads {sources}; only a chain of "
                "layers, each with one input, is supported"
            )
    if graph:
        outputs = [node[0] for node in config["output_layers"]]
        if outputs != [records[-1]["config"]["name"]]:
            raise UnsupportedOperationError(
                f"{path}: the outputs are those of {outputs}; only the last layer's are supported"
            )
    return records


def _layer(record: Record, groups: Any, path: Path) -> QKerasLayer:
    kind, config = record["class_name"], record["config"]
    name = config["name"]
    if not isinstance(kind, str) or not isinstance(name, str) or "/" in name:
        raise ModelError(f"{path}: a layer of class {str(kind)[:40]!r} and name {str(name)[:40]!r}")
    weights: dict[str, NDArray[np.float32]] = {}
    if name in groups:
        found: list[tuple[str, Any]] = []
        groups[name].visititems(
            lambda key, item: found.append((key, item)) if isinstance(item, h5py.Dataset) else None
        )
        weights = {
            key.rsplit("/", 1)[-1].split(":")[0]: np.asarray(item, np.float32)
            for key, item in found
        }
    return QKerasLayer(kind, name, config, weights, f"{path}: {name}")


def _port(contract: InputContract) -> FixedFormat:
    """One format that holds every input exactly."""
    formats = [feature.format for feature in contract.features]
    signed = any(f.signed for f in formats)
    integer = max(f.integer - f.signed for f in formats) + signed
    return FixedFormat(integer + max(f.fraction for f in formats), integer, signed)


def _squashing(layer: QKerasLayer) -> str | None:
    """The name of a function that keeps the order of the outputs, where the layer ends with one."""
    if layer.kind == "Softmax":
        return "softmax"
    name = layer.config.get("activation")
    return name if isinstance(name, str) and name in _SQUASHING else None


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


def _weight(layer: QKerasLayer, name: str, shape: tuple[Any, ...]) -> NDArray[np.float32]:
    """A weight of the file; raises ModelError where it is absent, of another shape or not finite."""
    values = layer.weights.get(name)
    if values is None:
        raise ModelError(f"{layer.where}: the file holds no {name} for it; save the model again")
    if values.shape != shape:
        raise ModelError(
            f"{layer.where}: its {name} has shape {values.shape}, the layer needs {shape}"
        )
    if not np.isfinite(values).all():
        raise ModelError(f"{layer.where}: its {name} holds NaN or inf; train it again")
    return values


def _dense_kernel(layer: QKerasLayer, value: _Value) -> tuple[Any, ...]:
    return (value.tensor.shape[-1], layer.config["units"])


def _conv_kernel(layer: QKerasLayer, value: _Value) -> tuple[Any, ...]:
    if layer.config.get("data_format") not in (None, "channels_last"):
        raise UnsupportedOperationError(
            f"{layer.where}: data_format channels_first; channels come last"
        )
    return (*layer.config["kernel_size"], value.tensor.shape[-1], layer.config["filters"])


def _weighted(
    make: Callable[..., Any], kernel_shape: Callable[[QKerasLayer, _Value], tuple[Any, ...]]
) -> Callable[[QKerasLayer, _Value], _Value]:
    """A converter of a layer with kernel and bias; `make` takes the layer and HGQ2's arguments."""

    def convert(layer: QKerasLayer, value: _Value) -> _Value:
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
        kernel = kernel_format.quantize(_weight(layer, "kernel", kernel_shape(layer, value)))
        arguments: Record = {"kq_conf": _quantizer(kernel_format, "weight")}
        use_bias = bool(layer.config.get("use_bias", True))
        if use_bias:
            bias = _weight(layer, "bias", kernel.shape[-1:])
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
            built.bias.assign(bias_format.quantize(bias))
        return _Value(tensor, None)

    return convert


def _dense(layer: QKerasLayer, **arguments: Any) -> Any:
    return hgq.layers.QDense(layer.config["units"], **arguments)


def _conv(kind: str) -> Callable[..., Any]:
    def make(layer: QKerasLayer, **arguments: Any) -> Any:
        config = layer.config
        if any(d != 1 for d in config.get("dilation_rate", [1])) or config.get("groups", 1) != 1:
            raise UnsupportedOperationError(f"{layer.where}: dilation or groups; use 1")
        keys = ("filters", "kernel_size", "strides", "padding")
        return getattr(hgq.layers, kind)(**{k: config[k] for k in keys}, **arguments)

    return make


def _activation(layer: QKerasLayer, value: _Value) -> _Value:
    name, fmt = parse_quantizer(layer.config["activation"], layer.where)
    tensor = value.tensor
    if name == "quantized_relu":
        tensor = keras.layers.Activation("relu", name=f"{layer.name}_relu")(tensor)
    quantizer = hgq.quantizer.Quantizer(_quantizer(fmt, "datalane"), name=layer.name)
    # the next layer's quantiser repeats the format: hls4ml merges the two, and keeps the last
    return _Value(quantizer(tensor), fmt)


def _moved(layer: QKerasLayer, value: _Value) -> _Value:
    """Layers that only move or choose elements: Keras 3 has them under the same name."""
    if layer.config.get("data_format") not in (None, "channels_last"):
        raise UnsupportedOperationError(
            f"{layer.where}: data_format channels_first; channels come last"
        )
    names = ("target_shape", "dims", "pool_size", "strides", "padding")
    options = {k: layer.config[k] for k in names if k in layer.config}
    kind = getattr(keras.layers, layer.kind)
    return _Value(kind(name=layer.name, **options)(value.tensor), value.format)


def _nothing(layer: QKerasLayer, value: _Value) -> _Value:
    if layer.kind == "Activation" and layer.config.get("activation") != "linear":
        raise UnsupportedOperationError(
            f"{layer.where}: Activation {layer.config.get('activation')!r}; nearest supported "
            "form: QActivation"
        )
    return value


_CONVERTERS: dict[str, Callable[[QKerasLayer, _Value], _Value]] = {
    "QDense": _weighted(_dense, _dense_kernel),
    "QConv1D": _weighted(_conv("QConv1D"), _conv_kernel),
    "QConv2D": _weighted(_conv("QConv2D"), _conv_kernel),
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
