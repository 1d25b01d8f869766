"""The quantised network as C++ integers: the same bits as the firmware, at the speed of the CPU."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.errors import DataError
from triggerforge.export.engines.native import CompiledRuntime
from triggerforge.export.native.build import compiled
from triggerforge.export.native.source import write_source
from triggerforge.export.runtime import require_inputs


class NativeIntRuntime(CompiledRuntime):
    """Bound, what is off the port's range, or NaN, ends at the range's ends."""

    def __init__(self, quantized: QuantizedModel) -> None:
        shape, outputs = quantized.contract.shape, len(quantized.output_formats)
        library = compiled(write_source(quantized.alir, shape))
        super().__init__("native-int", "quantized", shape, outputs, np.float64, library)

    def _predict_other(self, x: NDArray[np.float32]) -> NDArray[Any]:
        if not np.isfinite(require_inputs(x, self._shape)).all():
            raise DataError("inputs hold NaN or inf; quantize them with the input contract")
        return super()._predict_other(x)
