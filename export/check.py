"""Every exported file is run and compared with the model it came from, before it is handed over."""

import warnings
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.errors import ParityError
from triggerforge.export.builder import IR_VERSION
from triggerforge.export.engines.onnxruntime import session
from triggerforge.export.probe import central_inputs, random_port_inputs
from triggerforge.training.trained import TrainedModel

_QONNX_EVENTS = 64


def check_float(
    model: onnx.ModelProto, trained: TrainedModel, events: int, tolerance: float
) -> dict[str, Any]:
    """Largest difference from torch, absolute and as a fraction of the largest logit.

    Raises ParityError if the fraction exceeds `tolerance`.
    """
    x = central_inputs(trained.contract, events, seed=0)
    expected = trained.predict(x)
    got = session(model).run(None, {"x": x})[0]
    difference = float(np.abs(got - expected).max())
    fraction = difference / max(float(np.abs(expected).max()), 1e-30)
    if not fraction <= tolerance:
        raise ParityError(
            f"float.onnx differs from torch by {difference:.3g}, {fraction:.3g} of the largest "
            f"logit; allowed is export.float_tolerance = {tolerance:g}"
        )
    return {"events": events, "max_difference": difference, "fraction": fraction}


def check_quantized(
    model: onnx.ModelProto, quantized: QuantizedModel, events: int
) -> dict[str, Any]:
    """Compares with the ALIR interpreter; raises ParityError if a single number differs."""
    x = _inputs(quantized, events)
    return _require_equal("quantized.onnx", quantized, x, session(model).run(None, {"x": x})[0])


def check_qonnx(model: onnx.ModelProto, quantized: QuantizedModel, events: int) -> dict[str, Any]:
    """Executes the model with qonnx and compares with ALIR; ParityError if a number differs."""
    x = _inputs(quantized, min(events, _QONNX_EVENTS))
    return _require_equal("quantized.qonnx.onnx", quantized, x, run_qonnx(model, x))


def run_qonnx(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[Any]:
    """Outputs (N, outputs) of qonnx's own execution, node by node, for x (N, *shape)."""
    from qonnx.core import onnx_exec
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.util.basic import qonnx_make_model

    # else its models of one node have the newest IR version, which onnxruntime-gpu does not know yet
    onnx_exec.qonnx_make_model = partial(qonnx_make_model, ir_version=IR_VERSION)
    batched = onnx.ModelProto()
    batched.CopyFrom(model)
    for value in (*batched.graph.input, *batched.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # qonnx warns of shapes that it then infers
        wrapped = ModelWrapper(batched).transform(InferShapes())
        return np.asarray(onnx_exec.execute_onnx(wrapped, {"x": x})["logits"])


def _inputs(quantized: QuantizedModel, events: int) -> NDArray[np.float32]:
    half = -(-events // 2)
    parts = [f(quantized.contract, half, seed=1) for f in (random_port_inputs, central_inputs)]
    return np.concatenate(parts)[:events]


def _require_equal(
    file: str, quantized: QuantizedModel, x: NDArray[np.float32], got: NDArray[Any]
) -> dict[str, Any]:
    expected = quantized.predict(x)
    wrong = np.argwhere(got != expected)
    if len(wrong):
        event, output = wrong[0]
        raise ParityError(
            f"{file} differs from the fixed-point graph in {len(wrong)} of {expected.size} numbers; "
            f"first in event {event}, output {output}: expected {expected[event, output]!r}, got "
            f"{got[event, output]!r}; please report this with the model file"
        )
    return {"events": len(x), "mismatches": 0}
