"""Model files of Keras 3 with HGQ2 layers: `.keras`, and the older `.h5`, read with limits.

What the file says of itself (classes, sizes, where its numbers lie) is looked at before Keras acts on it:
no code that it brings along is run, nothing outside it is read, nothing large is allocated.
"""

import json
import math
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from triggerforge.compression import tables as _tables  # noqa: F401 (registers what a file may hold)
from triggerforge.compression.alir_layers import MAX_TABLE
from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.model_hdf5 import checked_hdf5, first_line
from triggerforge.compression.model_json import parse_json
from triggerforge.compression.model_zip import read_members
from triggerforge.errors import ArtifactError, ModelError, TriggerForgeError

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
KERAS_MEMBERS = {"metadata.json": 2**20, _CONFIG: 2**24, _WEIGHTS: 2**28}
"""members of a .keras file → the bytes that are read at most"""
_MAX_WEIGHTS = 2**26
"""numbers, those of quantisers too"""
_MAX_ELEMENTS = 2**20
"""of one tensor of one event"""
_MAX_BITS, _MAX_PLACE = 64, 127
"""of a number, and to either side of the point: alkaid keeps places in int8"""
_CODE = {"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
"""classes that run what the file brings along, or load another file"""
Record = dict[str, Any]


def load_keras(content: bytes, where: str = "the model") -> keras.Model:
    """The model in the bytes of a .keras file.

    Raises ArtifactError where it is damaged or Keras cannot read it, ModelError where it holds a class
    that is neither Keras' nor HGQ2's, or is larger than a model for a trigger can be.
    """
    members = read_members(content, KERAS_MEMBERS, where)
    if missing := sorted(KERAS_MEMBERS.keys() - members.keys()):
        raise ArtifactError(
            f"{where} has no {missing[0]} in it; save the model again with model.save('….keras')"
        )
    config = parse_json(members[_CONFIG], f"{where}: {_CONFIG}")
    parse_json(members["metadata.json"], f"{where}: metadata.json")
    _require_known(config, where)
    with checked_hdf5(members[_WEIGHTS], f"{where}: {_WEIGHTS}"):
        pass
    members[_CONFIG] = json.dumps(config).encode()
    return _from_temporary("model.keras", _zipped(members), where)


def load_hgq2_h5(content: bytes, where: str = "the model") -> keras.Model:
    """The model in the bytes of the `.h5` file that Keras 3 wrote; raises what `load_keras` raises."""
    with checked_hdf5(content, where) as file:
        if "model_weights" not in file or "model_config" not in file.attrs:
            raise ArtifactError(
                f"{where} lacks model_weights or model_config; save it with model.save('….keras')"
            )
        config = parse_json(file.attrs["model_config"], f"{where}: model_config")
        _require_known(config, where)
        legible = _with_config(content, config)
    return _from_temporary("model.h5", legible, where)


def saved_version(ending: str, content: bytes, where: str) -> str:
    """The version of Keras that saved a `.keras` or `.h5` file; empty where it does not say."""
    if ending == ".keras":
        members = read_members(content, KERAS_MEMBERS, where)
        record = parse_json(members.get("metadata.json", b"{}"), f"{where}: metadata.json")
        return str(record.get("keras_version", "")) if isinstance(record, dict) else ""
    with checked_hdf5(content, where) as file:
        return str(file.attrs.get("keras_version", ""))


def _with_config(content: bytes, config: Record) -> bytes:
    copy = BytesIO(content)
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    return copy.getvalue()


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _from_temporary(name: str, content: bytes, where: str) -> keras.Model:
    """What Keras makes of the bytes, looked over; its own errors in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            with _bounded_weights(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a model that is not compiled
                model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except TriggerForgeError:
            raise
        except Exception as error:  # Keras raises of all kinds
            # the path is ours, not one that a user knows
            told = _keras_words(error).replace(str(path), "the file")
            raise ArtifactError(f"{where}: Keras cannot read the model: {told}") from error
    if isinstance(model, keras.Model):
        _look_over(model, where)
    return model


def _keras_words(error: Exception) -> str:
    """What Keras says, in one line: it puts the reason behind a page of configuration."""
    _, mark, reason = str(error).rpartition("Exception encountered: ")
    return first_line(error, reason if mark else "")


# ---- before Keras sees it ------------------------------------------------------------------------


def _require_known(config: Any, where: str) -> None:
    """Every class in the configuration is Keras' or HGQ2's; HGQ2's get the names of today.

    Raises ModelError, which names the layer, for another one.
    """
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise ArtifactError(f"{where}: its configuration is no model; save the model again")
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        layer, value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                layer = _layer_name(value, layer)
                _require_known_class(value, layer, where)
            waiting.extend((layer, each) for each in value.values())
        elif isinstance(value, list):
            waiting.extend((layer, each) for each in value)


def _layer_name(record: Record, outer: str) -> str:
    inner = record.get("config")
    name = inner.get("name") if isinstance(inner, dict) and "inbound_nodes" in record else None
    if name is None and isinstance(inner, dict) and "build_config" in record:
        name = inner.get("name")
    return str(name) if isinstance(name, str) else outer


def _require_known_class(record: Record, layer: str, where: str) -> None:
    name, module = str(record["class_name"]), str(record.get("module") or "keras")
    registered = record.get("registered_name") or (name if ">" in name else "")
    told = f"{where}: layer {layer!r}" if layer else where
    if name in _CODE:
        raise ModelError(
            f"{told} is of class {name}, which runs code that the file brings along; it is not run: "
            "write it with Keras' and HGQ2's own layers"
        )
    if str(registered).startswith(("hgq>", "hgq2>")):
        _give_todays_name(record, str(registered), told)
        return
    plain = module.partition(".")[0] in ("keras", "builtins") and ">" not in str(registered)
    ours = str(registered).startswith("triggerforge>") and _is_registered(str(registered))
    if not (plain or ours or name == "function"):
        raise ModelError(
            f"{told} needs the class {registered or name} of {module}, which is neither Keras' nor HGQ2's; build the "
            "model of hgq.layers"
        )


def _give_todays_name(record: Record, registered: str, told: str) -> None:
    """HGQ2 has registered its layers under both `hgq` and `hgq2`."""
    name = registered.partition(">")[2]
    found = [p for p in (registered, f"hgq>{name}", f"hgq2>{name}") if _is_registered(p)]
    if not found:
        raise ModelError(
            f"{told} needs HGQ2's class {name!r}, which the installed HGQ2 does not have; save the "
            "model with a version that this one can read"
        )
    if found[0] != registered:
        if ">" in str(record["class_name"]):
            record["class_name"] = found[0]
        if record.get("registered_name"):
            record["registered_name"] = found[0]


def _is_registered(name: str) -> bool:
    return keras.saving.get_registered_object(name) is not None


# ---- while it builds -----------------------------------------------------------------------------


@contextmanager
def _bounded_weights() -> Iterator[None]:
    """Keras' layers get no weights beyond the limit, whatever the sizes in the file say."""
    kept = keras.layers.Layer.add_weight
    asked = 0

    def add_weight(self: Any, shape: Any = None, *arguments: Any, **options: Any) -> Any:
        nonlocal asked
        sizes = [shape] if isinstance(shape, int) else list(shape or ())
        asked += math.prod(size for size in sizes if isinstance(size, int | np.integer))
        if asked > _MAX_WEIGHTS:
            raise ModelError(
                f"layer {self.name!r} asks for weights of shape {tuple(sizes)}: more than "
                f"{_MAX_WEIGHTS} numbers in all, which is no model for a trigger"
            )
        return kept(self, shape, *arguments, **options)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = kept


# ---- once it is there ----------------------------------------------------------------------------


def _look_over(model: keras.Model, where: str) -> None:
    """Raises ModelError, which names the layer, for sizes, numbers and bits that no model has."""
    for variable in model.variables:
        values = np.asarray(variable)
        endless = variable.path.endswith("i_decay_speed")  # of a range that is not trained
        if values.dtype.kind == "f" and (np.isnan(values) | np.isinf(values) & ~endless).any():
            raise ModelError(
                f"{where}: the weight {variable.path} holds NaN or inf; train it again"
            )
    for layer in model._flatten_layers():
        told = f"{where}: layer {layer.name!r}"
        if layer is not model and not isinstance(layer, hgq.quantizer.Quantizer):
            _require_small(layer, told)
        inner = getattr(layer, "quantizer", None)
        if isinstance(layer, hgq.quantizer.Quantizer) and hasattr(type(inner), "kif"):
            _require_formats(layer, told)
        if isinstance(layer, hgq.layers.QUnaryFunctionLUT) or hasattr(layer, "toq"):
            _require_small_table(layer, told)


def _require_small(layer: Any, told: str) -> None:
    try:
        outputs = layer.output
    except (AttributeError, ValueError):  # a layer inside a layer has none
        return
    for tensor in outputs if isinstance(outputs, list | tuple) else [outputs]:
        size = math.prod(s for s in getattr(tensor, "shape", ())[1:] if s is not None)
        if size > _MAX_ELEMENTS:
            raise ModelError(
                f"{told} gives {size} numbers an event; at most {_MAX_ELEMENTS} are possible"
            )


def _require_formats(quantizer: Any, told: str) -> None:
    signs, integers, fractions = (np.asarray(v, np.float64) for v in quantizer.quantizer.kif)
    bits = signs + integers + fractions
    places = np.maximum(np.abs(integers), np.abs(fractions))
    if not ((places <= _MAX_PLACE).all() and (bits <= _MAX_BITS).all()):  # NaN is not
        raise ModelError(
            f"{told} has formats of {bits.max():g} bits, {places.max():g} binary places from the point; at "
            f"most {_MAX_BITS} and {_MAX_PLACE} are possible"
        )
    if not np.isin(signs, (0, 1)).all():
        raise ModelError(f"{told}: a sign takes 0 or 1 bit, not {signs.max():g}; save it again")


def _require_small_table(layer: Any, told: str) -> None:
    """A table whose input is another layer's sum is looked at when the graph is made."""
    if not layer.enable_iq or not hasattr(type(layer.iq.quantizer), "kif"):
        return
    bits = float(np.asarray(sum(np.asarray(part) for part in layer.iq.quantizer.kif)).max())
    if bits > math.log2(MAX_TABLE):
        raise ModelError(
            f"{told} is a table of inputs of {bits:g} bits; at most {math.log2(MAX_TABLE):g} are possible"
        )
