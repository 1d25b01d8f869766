"""The quantised network as C++ integers: the same bits as the firmware, at the speed of the CPU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.export.engines.native import CompiledRuntime
from triggerforge.export.native.build import compiled
from triggerforge.export.native.source import write_source
from triggerforge.export.runtime import inputs_on_grid


class NativeIntRuntime(CompiledRuntime):
    """Bound, what is off the grid is cut off to it, and what is off the range, or NaN, ends at its ends."""

    def __init__(self, quantized: QuantizedModel) -> None:
        shape, outputs = quantized.contract.shape, len(quantized.output_formats)
        self._contract = quantized.contract
        library = compiled(write_source(quantized.alir, quantized.contract))
        super().__init__("native-int", "quantized", shape, outputs, np.float64, library)

    def _predict_other(self, x: NDArray[np.float32]) -> NDArray[Any]:
        given = np.require(inputs_on_grid(x, self._contract), requirements="A")
        y = np.empty((len(given), self._outputs), self._kind)
        self.bind(given, y)()
        return y
