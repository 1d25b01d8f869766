"""Stock onnxruntime on one CPU thread."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from triggerforge.errors import ArtifactError
from triggerforge.export.files import read_onnx
from triggerforge.export.metadata import read_metadata
from triggerforge.export.runtime import require_buffers, require_inputs

_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}


class OnnxRuntime:
    """An exported ONNX file; raises ArtifactError if the file is missing, damaged or not ours."""

    def __init__(self, name: str, model: str, path: Path) -> None:
        self.name = name
        self.model = model
        proto = read_onnx(path)
        self.contract, self.classes = read_metadata(proto)
        self._session = session(proto)
        (output,) = self._session.get_outputs()
        self._outputs = int(output.shape[-1])
        self._type = np.dtype(_TYPES[output.type])

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs) through `InferenceSession.run`, which copies them."""
        x = require_inputs(x, self.contract.shape)
        if not len(x):
            return np.zeros((0, self._outputs), self._type)
        return np.asarray(self._session.run(None, {"x": x})[0])

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A run through IOBinding on the memory of x and y: no copies."""
        require_buffers(x, y, self.contract.shape, self._outputs, self._type)
        binding = self._session.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("logits", "cpu", 0, self._type.type, y.shape, y.ctypes.data)
        run = self._session.run_with_iobinding

        def call(x: NDArray[np.float32] = x, y: NDArray[Any] = y) -> None:  # keeps both alive
            run(binding)

        return call


def session(model: onnx.ModelProto) -> Any:
    """An onnxruntime session on one thread; raises ArtifactError if onnxruntime refuses the model."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's exceptions have no public base class
        raise ArtifactError(f"onnxruntime refuses the model: {error}; export again") from error
