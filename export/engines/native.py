"""Networks compiled for this machine's CPU, called in place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.export.native.build import loaded
from triggerforge.export.native.float_source import write_float_source
from triggerforge.export.native.tune import fastest
from triggerforge.export.runtime import require_inputs, require_memory


class CompiledRuntime:
    """A library of `triggerforge.export.native`.

    Its outputs are (N, `outputs`) of `kind`, for inputs (N, *`shape`).
    """

    predict: Callable[[NDArray[np.float32]], NDArray[Any]]
    """outputs (N, outputs) of x (N, *shape): one call of C, for Python's own take longer"""

    def __init__(
        self,
        name: str,
        model: str,
        shape: tuple[int, ...],
        outputs: int,
        kind: Any,
        library: Path,
    ) -> None:
        self.name, self.model = name, model
        self._shape, self._outputs, self._kind = shape, outputs, np.dtype(kind)
        self._module = loaded(library)
        self.predict = self._module.predictor(self._predict_other)

    def _predict_other(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """For what cannot be read as it lies in memory: the error, or a copy."""
        x = np.require(require_inputs(x, self._shape), requirements="A")
        return self.predict(x)

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that reads x and writes y in place; both are kept alive by it."""
        require_memory(x, y, self._shape, self._outputs, self._kind)
        call: Callable[[], None] = self._module.bind(x, y)
        return call


class NativeRuntime(CompiledRuntime):
    """The float network of an exported ONNX file; NaN passes as it does in IEEE 754.

    Raises ArtifactError if the file is missing, damaged or not ours, UnsupportedOperationError for
    what the engine does not know, MissingToolError without g++.
    """

    def __init__(self, path: Path) -> None:
        proto = read_onnx(path)
        contract, outputs = read_metadata(proto, path)
        library = fastest(write_float_source(proto), int(np.prod(contract.shape)), len(outputs))
        super().__init__("native", "float", contract.shape, len(outputs), np.float32, library)
