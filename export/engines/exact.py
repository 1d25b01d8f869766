"""What the two engines that are methods of the QuantizedModel have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.export.runtime import inputs_on_grid, require_buffers


class ExactRuntime(ABC):
    """Checks shapes and buffers; a subclass computes."""

    model = "quantized"

    def __init__(self, quantized: QuantizedModel) -> None:
        self._quantized = quantized
        self._shape = quantized.contract.shape
        self._outputs = len(quantized.output_formats)

    @abstractmethod
    def compute(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs) of N > 0 events of the right shape on the grid, float64."""

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs), float64."""
        x = inputs_on_grid(x, self._quantized.contract)
        return self.compute(x) if len(x) else np.zeros((0, self._outputs))

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that copies the outputs into y: these engines have no form in place."""
        require_buffers(x, y, self._shape, self._outputs, np.float64)
        compute = self.compute

        def call() -> None:
            y[:] = compute(x)

        return call
