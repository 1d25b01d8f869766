"""ONNX files, read with checks of all that they claim, and what an exported one says of itself."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from triggerforge.compression.model_json import parse_json
from triggerforge.data.contract import InputContract
from triggerforge.errors import ArtifactError, ConfigError, DataError

CONTRACT = "input_contract"
CLASSES = "classes"
TOOLS = "tools"
_MAX_BYTES = 2**28
_MAX_ELEMENTS = 2**24
"""of one tensor of one event"""
_OPEN = {
    "If",
    "Loop",
    "Scan",
    "Range",
    "NonZero",
    "Resize",
    "Upsample",
    "OneHot",
    "Compress",
    "Unique",
}
"""operators whose results have a size that no look at the file tells; no network here has them"""
_RANDOM = ("Random", "Multinomial", "Bernoulli", "Dropout")
_OF_ONNX = (
    *(OSError, DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
    *(ValueError, TypeError, RuntimeError, RecursionError, AttributeError, KeyError),
)


def read_onnx(path: Path) -> onnx.ModelProto:
    """The checked model in `path`.

    Raises ArtifactError if it is missing or damaged, has numbers in other files, or tensors and
    operators that a network for a trigger has not.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise ArtifactError(f"{path} has {size} bytes; a model file has at most {_MAX_BYTES}")
        model = onnx.load(path, load_external_data=False)
        _require_own_numbers(model, path)
        onnx.checker.check_model(model)
        _require_bounded(model, path)
    except _OF_ONNX as error:
        told = (str(error).strip().splitlines() or [""])[0][:200]
        raise ArtifactError(
            f"{path}: {told or type(error).__name__}; run the stage export again"
        ) from error
    return model


def _require_own_numbers(model: onnx.ModelProto, path: Path) -> None:
    """Before the checker, which looks for the files that a tensor names."""
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ArtifactError(
                f"{path}: the numbers of {tensor.name!r} lie in another file, which is not read; save the "
                "model in one file"
            )


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in (*model.graph.node, *(node for f in model.functions for node in f.node)):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            if attribute.HasField("sparse_tensor"):
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)


def _require_bounded(model: onnx.ModelProto, path: Path) -> None:
    """Raises ArtifactError for an operator or a tensor that can be of any size."""
    for node in model.graph.node:
        if node.op_type in _OPEN or node.op_type.startswith(_RANDOM) or model.functions:
            raise ArtifactError(
                f"{path}: {node.name or node.op_type!r} is a {node.op_type} or a function, which the files "
                "of the stage export do not have; run it again"
            )
    _require_small(model.graph.input, path)
    _require_small(model.graph.output, path)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    _require_small(inferred.graph.value_info, path)


def _require_small(values: object, path: Path) -> None:
    for value in values:  # type: ignore[attr-defined]
        size = 1
        for axis in value.type.tensor_type.shape.dim:
            size *= max(axis.dim_value, 1)  # 0 where it counts events
        if size > _MAX_ELEMENTS:
            raise ArtifactError(
                f"{path}: {value.name!r} has {size} numbers an event; at most {_MAX_ELEMENTS} are "
                "possible"
            )


def read_metadata(
    model: onnx.ModelProto, where: object = "the ONNX file"
) -> tuple[InputContract, tuple[str, ...]]:
    """The contract and the classes that an exported model, of the file `where`, carries.

    Raises ArtifactError if it carries none: the file is not one of ours, or was changed.
    """
    entries = {p.key: p.value for p in model.metadata_props}
    try:
        contract = InputContract.from_dict(
            parse_json(entries[CONTRACT], f"{where}: {CONTRACT}", "export again")
        )
        classes = parse_json(entries[CLASSES], f"{where}: {CLASSES}", "export again")
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError(f"{CLASSES} are {str(classes)[:80]}")
        return contract, tuple(classes)
    except (LookupError, ValueError, TypeError, AttributeError, ConfigError, DataError) as error:
        raise ArtifactError(
            f"{where} carries no readable {CONTRACT!r} and {CLASSES!r} ({error}); export again"
        ) from error
