"""Model files of third parties as QuantizedModel: HGQ2's `.keras`, QKeras' `.h5`, and our own.

An HGQ2 file without an input contract gets the one that its input quantiser implies. A last softmax
is left out: outputs are logits, in the same order.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.qkeras_file import read_qkeras
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.compression.reference import load_keras
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ArtifactError, ModelError, ParityError
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding
from triggerforge.progress import say

_MAX_BYTES = 2**28
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_BEGINS = {".tfq": _ZIP, ".keras": _ZIP, ".h5": _HDF5, ".hdf5": _HDF5}
"""ending -> the first bytes of such a file"""


def from_file(
    path: Path, contract: InputContract | None = None, classes: tuple[str, ...] | None = None
) -> QuantizedModel:
    """The quantised model in `path`: `.tfq`, HGQ2's `.keras`, or QKeras' `.h5`.

    Without `contract`, an HGQ2 model gets features x0, x1, … with the formats of its input
    quantiser; a QKeras model needs one. Without `classes` they are called class0, class1, …
    A `.tfq` brings both along; those given must then be the same.

    Raises ArtifactError where the file cannot be read, ModelError where it does not fit or has no
    fixed-point form, ParityError where the traced graph and Keras differ.
    """
    path = Path(path)
    require_readable(path)
    if path.suffix == ".tfq":
        return _own(path, contract, classes)
    with _naming(path):
        if path.suffix == ".keras":
            model = _logits(_named(load_keras(path.read_bytes())), path)
            contract = contract or implied_contract(model)
        else:
            if contract is None:
                raise ModelError("a QKeras file does not say what its inputs are; give a contract")
            model = read_qkeras(path, contract)
        outputs = int(np.prod(model.outputs[0].shape[1:]))
        return QuantizedModel.from_keras(
            model, contract, classes or tuple(f"class{i}" for i in range(outputs))
        )


def require_readable(path: Path) -> None:
    """Raises ModelError for another ending than .tfq, .keras, .h5, ArtifactError where the file is
    missing, larger than 256 MB, cut short, or of another kind than its ending says."""
    if path.suffix not in _BEGINS:
        raise ModelError(
            f"{path}: ends in {path.suffix!r}; known are .tfq, .keras (HGQ2), .h5 (QKeras)"
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            begin = file.read(len(_HDF5))
    except OSError as error:
        raise ArtifactError(f"{path}: {error}; give the path of a model file") from error
    if size > _MAX_BYTES:
        raise ArtifactError(f"{path} has {size} bytes; a model file has at most {_MAX_BYTES}")
    wanted = _BEGINS[path.suffix]
    if not begin.startswith(wanted):
        kinds = {_ZIP: "a zip, as Keras 3 writes .keras", _HDF5: "HDF5, as Keras 2 writes .h5"}
        found = next((k for b, k in kinds.items() if begin.startswith(b)), "neither zip nor HDF5")
        raise ArtifactError(
            f"{path} is damaged or misnamed: a {path.suffix} file is {kinds[wanted]}, this one is "
            f"{found}; save the model again"
        )
    if wanted == _ZIP:
        _require_whole_zip(path)


def _require_whole_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > 8 * _MAX_BYTES:
                raise ArtifactError(f"{path} would unpack to {unpacked} bytes; that is no model")
            bad = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ArtifactError(f"{path} is damaged: {error}; save the model again") from error
    if bad is not None:
        raise ArtifactError(f"{path} is damaged at {bad!r}; save the model again")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors inside name the file."""
    try:
        yield
    except (ArtifactError, ModelError, ParityError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def implied_contract(model: keras.Model) -> InputContract:
    """The contract that the input quantisers of an HGQ2 model imply: one format a feature.

    Raises ModelError where the input is not quantised, or not before anything else.
    """
    model = _named(model)
    if len(model.inputs) != 1:
        raise ModelError(f"the model takes {len(model.inputs)} inputs; one is supported")
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape or not shape:
        raise ModelError(f"the model takes inputs of shape {shape}; every axis needs a size")
    quantizers = [_input_quantizer(layer) for layer in _readers(model)]
    formats = [_formats(q.quantizer, shape) for q in quantizers if q is not None]
    if not formats or None in quantizers:
        raise ModelError(
            "the model does not quantise its inputs before it uses them, so their formats are not "
            "known; give an input contract"
        )
    if any(other != formats[0] for other in formats):
        raise ModelError("the model quantises its inputs in several ways; give an input contract")
    features = tuple(
        InputFeature(name=f"x{i}", unit="", offset=0.0, shift=0, format=each)
        for i, each in enumerate(formats[0])
    )
    return InputContract(features, shape)


def _own(
    path: Path, contract: InputContract | None, classes: tuple[str, ...] | None
) -> QuantizedModel:
    loaded = QuantizedModel.load(path)
    if contract not in (None, loaded.contract) or classes not in (None, loaded.classes):
        raise ModelError(
            f"{path} was made for the inputs {list(loaded.contract.names)} and the classes "
            f"{list(loaded.classes)}, or other formats; leave out contract and classes"
        )
    return loaded


def _named(model: Any) -> keras.Model:
    """The functional form of what the file held."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    if not isinstance(model, keras.Model) or not getattr(model, "_nodes_by_depth", None):
        raise ModelError(
            f"the file holds {type(model).__name__}; a Sequential or functional model is supported"
        )
    return model


def _logits(model: keras.Model, path: Path) -> keras.Model:
    """`model` without a float softmax at its end, which would keep the order of the outputs."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return model
    last = model.outputs[0]._keras_history.operation
    softmax = getattr(last, "activation", None) is keras.activations.softmax
    if type(last) is keras.layers.Softmax or (softmax and type(last) is keras.layers.Activation):
        model = keras.Model(model.inputs[0], last.input, name=model.name)
    elif softmax:
        last.activation = keras.activations.linear
    else:
        return model
    say(f"{path}: the softmax of {last.name!r} at the end is left out; outputs are logits")
    return model


def _readers(model: keras.Model) -> list[Any]:
    """The layers that read the model's input."""
    entry = model.inputs[0]
    found = []
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            if any(tensor is entry for tensor in node.arguments.keras_tensors):
                found.append(node.operation)
    return found


def _input_quantizer(layer: Any) -> Any | None:
    if isinstance(layer, hgq.quantizer.Quantizer):
        return layer
    return layer.iq if getattr(layer, "enable_iq", False) and not _many(layer) else None


def _many(layer: Any) -> bool:
    return hasattr(layer.iq, "quantizers")


def _formats(quantizer: Any, shape: tuple[int, ...]) -> tuple[FixedFormat, ...]:
    """One format a feature that holds all formats of that feature."""
    k, i, f = (np.broadcast_to(np.asarray(v), (1, *shape)) for v in quantizer.kif)
    dead = k + i + f <= 0
    shared = tuple(range(len(shape)))
    bounds = (
        np.where(dead, low, value).max(axis=shared).astype(int)
        for value, low in ((k, 0), (i, -32), (f, -32))
    )
    rounding = Rounding(str(quantizer.round_mode).removeprefix("S_"))
    overflow = Overflow(quantizer.overflow_mode)
    return tuple(
        FixedFormat(max(1, sign + above + below), sign + above, bool(sign), rounding, overflow)
        if sign + above + below > 0
        else FixedFormat(1, 1, False, rounding, overflow)
        for sign, above, below in zip(*bounds, strict=True)
    )
