"""The quantised network as C++ integers: the same bits as the firmware, at the speed of the CPU."""

import importlib.machinery
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.errors import DataError, ModelError
from triggerforge.export.native.build import compiled
from triggerforge.export.native.source import write_source
from triggerforge.export.runtime import require_buffers, require_inputs


class NativeIntRuntime:
    """Compiled at the first use on a machine, from the cache after that."""

    name = "native-int"
    model = "quantized"

    def __init__(self, quantized: QuantizedModel) -> None:
        self._shape = quantized.contract.shape
        self._outputs = len(quantized.output_formats)
        self._module = _load(compiled(write_source(quantized.alir)))

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs), float64. Raises DataError for NaN or inf."""
        x = require_inputs(x, self._shape)
        if not np.isfinite(x).all():
            raise DataError("inputs hold NaN or inf; quantize them with the input contract")
        y = np.empty((len(x), self._outputs))
        if len(x):
            self._module.bind(x, y)()
        return y

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that reads x and writes y in place; both are kept alive by it.

        What is off the port's range, or NaN, ends at the range's ends.
        """
        require_buffers(x, y, self._shape, self._outputs, np.float64)
        if not (x.flags.aligned and y.flags.aligned and y.flags.writeable):
            raise ModelError(
                "a bound call works in place: give aligned arrays, and one for y that can be written"
            )
        call: Callable[[], None] = self._module.bind(x, y)
        return call


def _load(library: Path) -> Any:
    loader = importlib.machinery.ExtensionFileLoader("network", str(library))
    spec = importlib.util.spec_from_file_location("network", library, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
