"""Model files of third parties as QuantizedModel: HGQ2's `.keras` and `.h5`, QKeras' `.h5`, and our own.

An HGQ2 file without an input contract gets the one that its input quantiser implies. A last softmax
or sigmoid is left out: outputs are logits, in the same order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.every_layer import require_quantised
from triggerforge.compression.keras_file import KERAS_MEMBERS, load_hgq2_h5, load_keras
from triggerforge.compression.layer_tree import operations
from triggerforge.compression.logits import without_last_squashing
from triggerforge.compression.model_hdf5 import checked_hdf5
from triggerforge.compression.model_zip import read_members
from triggerforge.compression.qkeras_file import read_qkeras
from triggerforge.compression.quantized_model import TFQ_MEMBERS, QuantizedModel, require_reference
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ArtifactError, ConfigError, DataError, ModelError, ParityError
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding
from triggerforge.progress import say

_MAX_BYTES = 2**28
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_BEGINS = {".tfq": _ZIP, ".keras": _ZIP, ".h5": _HDF5, ".hdf5": _HDF5}
"""ending -> the first bytes of such a file"""
_MEMBERS = {".tfq": TFQ_MEMBERS, ".keras": KERAS_MEMBERS}


def from_file(
    path: Path, contract: InputContract | None = None, classes: tuple[str, ...] | None = None
) -> QuantizedModel:
    """The quantised model in `path`: `.tfq`, HGQ2's `.keras` or `.h5`, or QKeras' `.h5`.

    Without `contract`, an HGQ2 model gets features x0, x1, … with the formats of its input
    quantiser; a QKeras model needs one. Without `classes` they are called class0, class1, …
    A `.tfq` brings both along; those given must then be the same.

    Raises ArtifactError where the file cannot be read, ModelError where it does not fit, has no
    fixed-point form or computes in floats somewhere, ParityError where the traced graph and Keras differ.
    """
    path = Path(path)
    content = require_readable(path)
    with _naming(path):
        if path.suffix == ".tfq":
            return _own(path, content, contract, classes)
        if is_qkeras(path, content):
            if contract is None:
                raise ModelError("a QKeras file does not say what its inputs are; give a contract")
            model = read_qkeras(path, contract)
        else:
            model = _hgq2(path, content)
            contract = contract or implied_contract(model)
        outputs = int(np.prod(model.outputs[0].shape[1:]))
        return QuantizedModel.from_keras(
            model, contract, classes or tuple(f"class{i}" for i in range(outputs))
        )


def is_qkeras(path: Path, content: bytes) -> bool:
    """Whether an `.h5` file is of Keras 2, and so QKeras'; Keras 3 writes HGQ2 models."""
    if _BEGINS[path.suffix] == _ZIP:
        return False
    with checked_hdf5(content, str(path)) as file:
        return not str(file.attrs.get("keras_version", "2")).startswith("3")


def load_hgq2(path: Path, content: bytes) -> keras.Model:
    """The functional form of the HGQ2 model in the file `path`; raises what `load_keras` raises."""
    load = load_keras if path.suffix == ".keras" else load_hgq2_h5
    return functional(load(content, str(path)))


def _hgq2(path: Path, content: bytes) -> keras.Model:
    model, told = without_last_squashing(load_hgq2(path, content))
    for line in told:
        say(f"{path}: {line}")
    require_quantised(model)
    if uncounted := uncounted_layers(model):
        say(
            f"warning: {path} has EBOPs switched off in {', '.join(uncounted)}: their cost is not in the "
            "model's EBOPs"
        )
    return model


def uncounted_layers(model: keras.Model) -> list[str]:
    """The layers with weights or tables whose EBOPs the model does not count (a factor of 0, or switched off)."""
    return [
        name
        for name, layer in operations(model)
        if (hasattr(layer, "kq") or hasattr(layer, "toq")) and not _counts(layer)
    ]


def _counts(layer: Any) -> bool:
    factors = (layer.ebops_factor, getattr(layer, "parallelization_factor", 1))
    return bool(layer.enable_ebops and all(factors))


def require_readable(path: Path) -> bytes:
    """The bytes of `path`, whose kind and whose members' sizes are right.

    Raises ModelError for another ending than .tfq, .keras, .h5, ArtifactError where the file is
    missing, larger than 256 MB, cut short, of another kind than its ending says, or would unpack to more
    than a model has.
    """
    if path.suffix not in _BEGINS:
        raise ModelError(
            f"{path}: ends in {path.suffix!r}; known are .tfq, .keras (HGQ2), .h5 (HGQ2, QKeras)"
        )
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise ArtifactError(f"{path} has {size} bytes; a model file has at most {_MAX_BYTES}")
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: {error}; give the path of a model file") from error
    wanted = _BEGINS[path.suffix]
    if not content.startswith(wanted):
        kinds = {_ZIP: "a zip, as Keras 3 writes .keras", _HDF5: "HDF5, as Keras writes .h5"}
        found = next((k for b, k in kinds.items() if content.startswith(b)), "neither zip nor HDF5")
        raise ArtifactError(
            f"{path} is damaged or misnamed: a {path.suffix} file is {kinds[wanted]}, this one is "
            f"{found}; save the model again"
        )
    if wanted == _ZIP:
        read_members(content, _MEMBERS[path.suffix], str(path))
    return content


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors inside name the file; numbers of it that no format or contract has are the model's."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise ModelError(f"{path}: {error}") from error
    except (ArtifactError, ModelError, ParityError) as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def implied_contract(model: keras.Model) -> InputContract:
    """The contract that the input quantisers of an HGQ2 model imply: one format a feature.

    Where several layers read the input, each format holds what all of them take of it. Raises ModelError
    where the input is not quantised before anything else, or rounded in several ways.
    """
    model = functional(model)
    if len(model.inputs) != 1:
        raise ModelError(f"the model takes {len(model.inputs)} inputs; one is supported")
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape or not shape:
        raise ModelError(f"the model takes inputs of shape {shape}; every axis needs a size")
    quantizers = [q for layer in _readers(model) for q in _input_quantizers(layer, model.inputs[0])]
    formats = [_formats(q.quantizer, shape) for q in quantizers if q is not None]
    if not formats or None in quantizers:
        raise ModelError(
            "the model does not quantise its inputs before it uses them, so their formats are not "
            "known; give an input contract"
        )
    features = tuple(
        InputFeature(name=f"x{i}", unit="", offset=0.0, shift=0, format=_holding(each))
        for i, each in enumerate(zip(*formats, strict=True))
    )
    return InputContract(features, shape)


def _own(
    path: Path, content: bytes, contract: InputContract | None, classes: tuple[str, ...] | None
) -> QuantizedModel:
    loaded = QuantizedModel.from_bytes(content, str(path))
    require_reference(loaded)
    if contract not in (None, loaded.contract) or classes not in (None, loaded.classes):
        raise ModelError(
            f"{path} was made for the inputs {list(loaded.contract.names)} and the classes "
            f"{list(loaded.classes)}, or other formats; leave out contract and classes"
        )
    return loaded


def functional(model: Any) -> keras.Model:
    """The functional form of what a file held; raises ModelError for what is no model."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    if not isinstance(model, keras.Model) or not getattr(model, "_nodes_by_depth", None):
        raise ModelError(
            f"the file holds {type(model).__name__}; a Sequential or functional model is supported"
        )
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


def _input_quantizers(layer: Any, entry: Any) -> list[Any]:
    """The quantisers through which `layer` reads the tensor `entry`; None for one that it lacks."""
    if isinstance(layer, hgq.quantizer.Quantizer):
        return [layer]
    if not getattr(layer, "enable_iq", False):
        return [None]
    if not hasattr(layer.iq, "quantizers"):
        return [layer.iq]
    given = layer.input
    return [q for q, tensor in zip(layer.iq, given, strict=True) if tensor is entry]


def _holding(formats: tuple[FixedFormat, ...]) -> FixedFormat:
    """A format that holds every value of these, rounded and bounded in the same way."""
    rounding, overflow = formats[0].rounding, formats[0].overflow
    if any((fmt.rounding, fmt.overflow) != (rounding, overflow) for fmt in formats):
        raise ModelError(
            f"the model quantises an input in several ways ({', '.join(map(str, formats))}); give an input "
            "contract"
        )
    signed = any(fmt.signed for fmt in formats)
    integer = max(fmt.integer + (signed and not fmt.signed) for fmt in formats)
    width = integer + max(fmt.fraction for fmt in formats)
    return FixedFormat(width, integer, signed, rounding, overflow)


def _formats(quantizer: Any, shape: tuple[int, ...]) -> tuple[FixedFormat, ...]:
    """One format a feature that holds all formats of that feature.

    A layer of tables quantises an input anew for every output: those axes stand behind the input's.
    Raises ModelError where the quantiser's axes are not those of the input (patches of an image).
    """
    k, i, f = (np.asarray(v) for v in quantizer.kif)
    rank = len(shape) + 1
    if any(size not in (1, own) for size, own in zip(k.shape[1:], shape, strict=False)):
        raise ModelError(
            f"the input's quantiser has the shape {k.shape[1:]}, the input {shape}: its formats are not "
            "those of the inputs one by one; give an input contract"
        )
    dead = k + i + f <= 0
    shared = (*range(len(shape)), *range(rank, k.ndim))
    size = (1, *shape, *k.shape[rank:])
    bounds = (
        np.broadcast_to(np.where(dead, low, value), size).max(axis=shared).astype(int).tolist()
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
