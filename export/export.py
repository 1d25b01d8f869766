"""The stage `export`: three ONNX files, each compared with its model before it is written."""

from collections import Counter
from pathlib import Path
from typing import Any

import onnx

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.export import ExportConfig
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.check import check_float, check_qonnx, check_quantized
from triggerforge.export.files import FLOAT_FILE, QONNX_FILE, QUANTIZED_FILE, write_onnx
from triggerforge.export.float_model import float_onnx
from triggerforge.export.quantized import qonnx_model, quantized_onnx
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.training.trained import TrainedModel


def export(
    config: ExportConfig, trained: TrainedModel | None, quantized: QuantizedModel, folder: Path
) -> None:
    """Writes float.onnx (unless `trained` is None), quantized.onnx and quantized.qonnx.onnx.

    Raises ParityError if a file does not give its model's numbers, UnsupportedOperationError if
    the quantised model has a layer without an exact form. A float module that torch cannot export
    is no reason to stop: it is recorded as not run.
    """
    record: dict[str, Any] = {"float": _float(config, trained, folder)}
    record["quantized"] = _quantized(config, quantized, folder)
    record["qonnx"] = (
        _qonnx(config, quantized, folder) if config.qonnx else _not_run("qonnx: false")
    )
    write_record(folder, export=record)


def _float(config: ExportConfig, trained: TrainedModel | None, folder: Path) -> dict[str, Any]:
    if trained is None:
        return _not_run("no full-precision model was given")
    try:
        model = float_onnx(trained)
    except UnsupportedOperationError as error:
        say(f"float.onnx not written: {error}")
        return _not_run(str(error))
    checked = check_float(model, trained, config.check_events, config.float_tolerance)
    write_onnx(model, folder / FLOAT_FILE)
    return _described(FLOAT_FILE, model) | checked


def _quantized(config: ExportConfig, quantized: QuantizedModel, folder: Path) -> dict[str, Any]:
    model = quantized_onnx(quantized)
    checked = check_quantized(model, quantized, config.check_events)
    write_onnx(model, folder / QUANTIZED_FILE)
    return _described(QUANTIZED_FILE, model) | checked


def _qonnx(config: ExportConfig, quantized: QuantizedModel, folder: Path) -> dict[str, Any]:
    model, helped = qonnx_model(quantized)
    checked = check_qonnx(model, quantized, config.check_events)
    write_onnx(model, folder / QONNX_FILE)
    return _described(QONNX_FILE, model) | checked | {"beyond_quant": helped}


def _described(file: str, model: onnx.ModelProto) -> dict[str, Any]:
    operators = Counter(node.op_type for node in model.graph.node)
    return {"file": file, "bytes": model.ByteSize(), "operators": dict(sorted(operators.items()))}


def _not_run(reason: str) -> dict[str, Any]:
    return {"not run": reason}
