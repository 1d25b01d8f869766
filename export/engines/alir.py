"""alkaid's exact int64 interpreter of the fixed-point graph, on one thread."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.export.runtime import require_buffers, require_inputs


class AlirRuntime:
    """The reference that needs no framework: `QuantizedModel.predict`."""

    name = "alir"
    model = "quantized"

    def __init__(self, quantized: QuantizedModel) -> None:
        self._quantized = quantized
        self._shape = quantized.contract.shape
        self._outputs = len(quantized.output_formats)

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs), float64."""
        x = require_inputs(x, self._shape)
        if not len(x):
            return np.zeros((0, self._outputs))
        return self._quantized.predict(x, threads=1)

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that copies the interpreter's outputs into y: it has no form in place."""
        require_buffers(x, y, self._shape, self._outputs, np.float64)
        predict = self._quantized.predict

        def call() -> None:
            y[:] = predict(x, threads=1)

        return call
