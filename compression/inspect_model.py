"""What a model file holds, before anything is made of it: ports, layers, bits, cost, what is not supported.

Nothing is traced: a file takes the seconds that Keras needs to read it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from triggerforge.compression.onnx_file import CLASSES, CONTRACT, read_metadata, read_onnx
from triggerforge.data.contract import InputContract
from triggerforge.errors import ArtifactError, ConfigError, DataError, ModelError
from triggerforge.fixedpoint import Overflow


@dataclass(frozen=True)
class PortDescription:
    """An input or output of a model."""

    name: str
    shape: tuple[int, ...]
    """of one event"""
    features: tuple[str, ...] = ()
    """names along the last axis, where the file has them"""
    formats: tuple[str, ...] = ()
    """of each feature, as `ap_fixed<…>`; empty where the file does not say"""


@dataclass(frozen=True)
class LayerDescription:
    """A layer, and whether it has a fixed-point form here."""

    name: str
    kind: str
    weights: int = 0
    bits: float | None = None
    """mean bits of its weights, or of what its tables give; None where it has neither"""
    ebops: int | None = None
    """None where they are not counted"""
    unsupported: str = ""
    """why it has no form; empty where it has one"""


@dataclass(frozen=True)
class ModelDescription:
    """A model file at a glance."""

    path: Path
    kind: str
    """"HGQ2", "QKeras", "triggerforge" or "ONNX" """
    version: str
    """of the framework that saved it"""
    inputs: tuple[PortDescription, ...]
    outputs: tuple[PortDescription, ...]
    layers: tuple[LayerDescription, ...]
    ebops: float | None
    """of the whole model; None where the file does not tell"""
    notes: tuple[str, ...] = ()
    """what a user should know before it is used, each a sentence"""

    @property
    def supported(self) -> bool:
        """Whether every layer has a fixed-point form."""
        return not any(layer.unsupported for layer in self.layers)

    @property
    def port_formats(self) -> str:
        """The lines of `data.precision.formats`, ready to paste; empty where no format is known."""
        lines = [
            f'  "{name}": "{fmt}"'
            for port in self.inputs
            for name, fmt in zip(port.features, port.formats, strict=False)
        ]
        return "\n".join(["formats:", *lines]) if lines else ""


def inspect_model(path: Path) -> ModelDescription:
    """What the file `path` holds: .keras and .h5 of HGQ2, .h5 of QKeras, .tfq, .onnx.

    Raises ArtifactError where it cannot be read, ModelError for another ending.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        return _onnx(path)
    from triggerforge.compression.model_file import (  # Keras takes seconds
        is_qkeras,
        require_readable,
    )

    content = require_readable(path)
    if path.suffix == ".tfq":
        return _own(path, content)
    return _qkeras(path) if is_qkeras(path, content) else _hgq2(path, content)


# ---- HGQ2 ----------------------------------------------------------------------------------------


def _hgq2(path: Path, content: bytes) -> ModelDescription:
    from triggerforge.compression.bitmap import ebops
    from triggerforge.compression.keras_file import saved_version
    from triggerforge.compression.logits import without_last_squashing
    from triggerforge.compression.model_file import load_hgq2, uncounted_layers

    model, told = without_last_squashing(load_hgq2(path, content))
    inputs, notes = _hgq2_inputs(model)
    if uncounted := uncounted_layers(model):
        notes.append(f"EBOPs are switched off in {', '.join(uncounted)}: their cost is not counted")
    outputs = tuple(PortDescription(t.name, _event(t.shape)) for t in model.outputs)
    for port in outputs:
        if len(port.shape) != 1:
            notes.append(f"the output {port.name} has shape {port.shape}; one axis is supported")
    return ModelDescription(
        path=path,
        kind="HGQ2",
        version=f"Keras {saved_version(path.suffix, content, str(path))}",
        inputs=inputs,
        outputs=outputs,
        layers=_hgq2_layers(model),
        ebops=_or_none(lambda: ebops(model)),
        notes=(*told, *notes, *_padding_note(inputs)),
    )


def _hgq2_inputs(model: Any) -> tuple[tuple[PortDescription, ...], list[str]]:
    from triggerforge.compression.model_file import implied_contract

    try:
        contract = implied_contract(model)
    except (ConfigError, DataError, ModelError) as error:
        ports = tuple(PortDescription(t.name, _event(t.shape)) for t in model.inputs)
        return ports, [f"formats of the inputs: {error}"]
    notes = []
    if any(f.format.overflow is Overflow.WRAP for f in contract.features):
        notes.append(
            "its input quantisers wrap: scale the inputs as in its training, so that none leaves its range"
        )
    return (_port(model.inputs[0].name, contract),), notes


def _hgq2_layers(model: Any) -> tuple[LayerDescription, ...]:
    from triggerforge.compression.bitmap import layer_record
    from triggerforge.compression.every_layer import float_layers
    from triggerforge.compression.layer_tree import operations

    floats = {each.name: each.why for each in float_layers(model)}
    rows = []
    for name, layer in operations(model):
        if type(layer).__name__ == "InputLayer":
            continue
        record = _or_none(partial(layer_record, name, layer)) or {}
        rows.append(
            LayerDescription(
                name=name,
                kind=type(layer).__name__,
                weights=record.get("weights", 0),
                bits=record.get("weight_bits_mean") or record.get("table_bits_mean"),
                ebops=record.get("ebops") if getattr(layer, "enable_ebops", False) else None,
                unsupported=floats.get(name, ""),
            )
        )
    return tuple(rows)


def _or_none(count: Callable[[], Any]) -> Any:
    """None where HGQ2 has no count for a layer that it was not made for."""
    try:
        return count()
    except Exception:  # noqa: BLE001  of HGQ2's own arithmetic; the layer is listed all the same
        return None


def _event(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(-1 if size is None else int(size) for size in shape[1:])


# ---- the others ----------------------------------------------------------------------------------


def _qkeras(path: Path) -> ModelDescription:
    from triggerforge.compression.qkeras_file import input_shape, read_layers, unsupported

    layers = read_layers(path)
    shape = input_shape(layers[0]) or ()
    rows = tuple(
        LayerDescription(
            name=layer.name,
            kind=layer.kind,
            weights=sum(int(w.size) for w in layer.weights.values()),
            unsupported=unsupported(layer),
        )
        for layer in layers
        if layer.kind != "InputLayer"
    )
    features = tuple(f"x{i}" for i in range(shape[-1])) if shape else ()
    port = PortDescription(layers[0].name, shape, features)
    return ModelDescription(
        path=path,
        kind="QKeras",
        version="Keras 2",
        inputs=(port,),
        outputs=(PortDescription(layers[-1].name, ()),),
        layers=rows,
        ebops=None,
        notes=(
            "the file does not say in which formats its inputs come: give them in data.precision.formats",
            *_padding_note((port,)),
        ),
    )


def _own(path: Path, content: bytes) -> ModelDescription:
    from triggerforge.compression.quantized_model import QuantizedModel

    model = QuantizedModel.from_bytes(content, str(path))
    outputs = tuple(map(str, model.output_formats))
    port = _port("x", model.contract)
    return ModelDescription(
        path=path,
        kind="triggerforge",
        version=str(model.versions.get("triggerforge", "")),
        inputs=(port,),
        outputs=(PortDescription("logits", (len(model.classes),), model.classes, outputs),),
        layers=tuple(_recorded(record, path) for record in model.layers),
        ebops=model.ebops,
        notes=(),
    )


def _recorded(record: Any, path: Path) -> LayerDescription:
    try:
        bits = record["weight_bits_mean"]
        return LayerDescription(
            str(record["name"]),
            str(record["kind"]),
            int(record["weights"]),
            bits,
            int(record["ebops"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: damaged bit map ({error!r}); compress again") from error


def _onnx(path: Path) -> ModelDescription:
    model = read_onnx(path)
    kinds = sorted({node.op_type for node in model.graph.node})
    entries = {entry.key for entry in model.metadata_props}
    inputs: tuple[PortDescription, ...]
    outputs: tuple[PortDescription, ...]
    if {CONTRACT, CLASSES} <= entries:
        contract, classes = read_metadata(model, path)
        inputs = (_port("x", contract),)
        outputs = (PortDescription("logits", (len(classes),), classes),)
        notes = ["written by the stage export; the model itself is model.tfq beside it"]
    else:
        inputs = tuple(_onnx_port(value) for value in model.graph.input)
        outputs = tuple(_onnx_port(value) for value in model.graph.output)
        notes = [
            "not written by the stage export, and not read by compress: give the .keras or .h5 file"
        ]
    return ModelDescription(
        path=path,
        kind="ONNX",
        version=f"{model.producer_name} {model.producer_version}".strip(),
        inputs=inputs,
        outputs=outputs,
        layers=tuple(LayerDescription(kind, kind) for kind in kinds),
        ebops=None,
        notes=tuple(notes),
    )


def _onnx_port(value: Any) -> PortDescription:
    axes = value.type.tensor_type.shape.dim
    return PortDescription(value.name, tuple(axis.dim_value or -1 for axis in axes[1:]))


def _port(name: str, contract: InputContract) -> PortDescription:
    formats = tuple(str(feature.format) for feature in contract.features)
    return PortDescription(name, contract.shape, contract.names, formats)


def _padding_note(inputs: tuple[PortDescription, ...]) -> list[str]:
    """Particles that an event lacks: the file does not say what stands for them."""
    if not any(len(port.shape) > 1 and math.prod(port.shape) > 0 for port in inputs):
        return []
    note = (
        "the file does not say what stands for particles that an event lacks: give the value that its "
        "training had, in data.precision.padding or padding_scaled"
    )
    return [note]
