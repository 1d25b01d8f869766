"""The quantised network as a CUDA kernel on integers: the same bits as the firmware, in bulk."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.export.gpu.device import Kernel, architecture, require_gpu
from triggerforge.export.gpu.nvrtc import compiled_cubin
from triggerforge.export.gpu.runtime import DeviceRuntime
from triggerforge.export.gpu.source import BLOCK, ENTRY, MAIN, write_integer_source
from triggerforge.export.runtime import inputs_on_grid


class CudaIntRuntime(DeviceRuntime):
    """Bound, what is off the port's range, or NaN, ends at the range's ends.

    Raises MissingToolError without a card, its driver, torch for CUDA or NVRTC.
    """

    reads_host = True

    def __init__(self, quantized: QuantizedModel) -> None:
        shape, outputs = quantized.contract.shape, len(quantized.output_formats)
        self._contract = quantized.contract
        super().__init__("cuda-int", "quantized", shape, outputs, torch.float64, require_gpu())
        sources = write_integer_source(quantized.alir)
        self._kernel = Kernel(compiled_cubin(sources, MAIN, architecture(self.card)), ENTRY)

    def enqueue(self, x: Tensor, y: Tensor) -> None:
        """One thread for each event."""
        events = len(x)
        self._kernel.start(-(-events // BLOCK), BLOCK, x.data_ptr(), y.data_ptr(), events)

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Outputs (N, outputs), float64. Raises DataError for NaN or inf."""
        return super().predict(inputs_on_grid(x, self._contract))
