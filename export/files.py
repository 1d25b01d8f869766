"""ONNX files: written whole, read with checks."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from triggerforge.errors import ArtifactError
from triggerforge.runfolder import write_atomic

FLOAT_FILE = "float.onnx"
QUANTIZED_FILE = "quantized.onnx"
QONNX_FILE = "quantized.qonnx.onnx"


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Writes `model` to `path`, whole or not at all."""
    write_atomic(path, model.SerializeToString())


def read_onnx(path: Path) -> onnx.ModelProto:
    """The checked model in `path`; raises ArtifactError if it is missing or damaged."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise ArtifactError(f"{path}: {error}; run the stage export again") from error
    return model
