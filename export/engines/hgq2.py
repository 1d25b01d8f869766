"""The HGQ2 Keras model itself: the reference of every parity check."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.export.runtime import require_buffers, require_inputs


class Hgq2Runtime:
    """Keras' own forward pass on the CPU, in floats wide enough to be exact."""

    name = "hgq2"
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
        return self._quantized.reference(x).reshape(len(x), -1)

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that copies Keras' outputs into y."""
        require_buffers(x, y, self._shape, self._outputs, np.float64)

        def call() -> None:
            y[:] = self.predict(x)

        return call
