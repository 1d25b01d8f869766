"""OpenVINO on one CPU thread."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.errors import ArtifactError
from triggerforge.export.engines.fixed import FixedBatchRuntime
from triggerforge.packages import require_package

_SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
}


class OpenVinoRuntime(FixedBatchRuntime):
    """The float network of an exported ONNX file.

    Its best settings for one event on one core: compiled for fixed shapes, the hint LATENCY, one
    stream and one thread; float32 throughout, where the plugin would choose bfloat16 on a CPU that
    has it. A bound call goes to the request itself, whose tensors share the arrays' memory:
    OpenVINO's Python method around it costs more, and a call that hands the input over much more,
    so `predict` copies into bound tensors too.

    Raises ArtifactError if the file is missing, damaged or not ours, MissingToolError without OpenVINO.
    """

    def __init__(self, path: Path) -> None:
        # the package tells a server that it is used, in a process of its own, unless this is missing
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        self._openvino = require_package("openvino")
        proto = read_onnx(path)
        contract, outputs = read_metadata(proto, path)
        super().__init__("openvino", contract.shape, len(outputs), np.float32)
        self._file = proto.SerializeToString()
        self._core = self._openvino.Core()

    def build(self, events: int) -> Any:
        """A compiled model."""
        try:
            model = self._core.read_model(self._file, b"")
            model.reshape([events, *self._shape])
            return self._core.compile_model(model, "CPU", _SETTINGS)
        except RuntimeError as error:
            raise ArtifactError(f"OpenVINO refuses the model: {error}; export again") from error

    def place(self, network: Any, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], object]:
        """A request whose tensors are x and y."""
        tensor = self._openvino.Tensor
        request = network.create_infer_request()
        tensors = tensor(x, shared_memory=True), tensor(y, shared_memory=True)
        request.set_input_tensor(tensors[0])
        request.set_output_tensor(tensors[1])
        infer = super(type(request), request).infer  # type: ignore[misc]  # OpenVINO has no types

        def call(held: Any = (x, y, tensors, request)) -> None:  # a request holds no array alive
            infer({}, True, False)  # no new inputs, outputs shared, no strings to decode

        return call
