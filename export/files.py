"""ONNX files: their names, and written whole."""

from pathlib import Path

import onnx

from triggerforge.runfolder import write_atomic

FLOAT_FILE = "float.onnx"
QUANTIZED_FILE = "quantized.onnx"
QONNX_FILE = "quantized.qonnx.onnx"


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Writes `model` to `path`, whole or not at all."""
    write_atomic(path, model.SerializeToString())
