"""The quantised model as ONNX: with standard operators, and with QONNX `Quant` nodes."""

import json
from dataclasses import asdict
from typing import Any

import onnx

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.export.lowering import Lowering
from triggerforge.export.metadata import OUTPUT_FORMATS, metadata
from triggerforge.export.qonnx import QonnxLowering
from triggerforge.export.walk import write_graph


def quantized_onnx(quantized: QuantizedModel) -> onnx.ModelProto:
    """Bit for bit the firmware's numbers, for inputs on the contract's grid.

    Input `x` float32 (batch, *shape), output `logits` (batch, outputs), float32, or float64 where
    an output has more than 24 bits. Raises UnsupportedOperationError for a layer without exact form.
    """
    return write_graph(Lowering(), quantized.keras_model(), quantized.contract, _entries(quantized))


def qonnx_model(quantized: QuantizedModel) -> tuple[onnx.ModelProto, list[dict[str, Any]]]:
    """The model with `Quant` nodes, batch of one, and the quantisers that needed more than `Quant`.

    The batch is fixed to one event: FPGA tools take static shapes only.
    """
    context = QonnxLowering()
    model = write_graph(
        context, quantized.keras_model(), quantized.contract, _entries(quantized), batch=1
    )
    helped = [asdict(h) for h in context.helped]
    onnx.helper.set_model_props(model, _entries(quantized) | {"beyond_quant": json.dumps(helped)})
    return model, helped


def _entries(quantized: QuantizedModel) -> dict[str, str]:
    formats = json.dumps([str(f) for f in quantized.output_formats])
    return metadata(quantized.contract, quantized.classes, {OUTPUT_FORMATS: formats})
