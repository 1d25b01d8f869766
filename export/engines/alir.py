"""alkaid's exact int64 interpreter of the fixed-point graph, on one thread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.export.engines.exact import ExactRuntime


class AlirRuntime(ExactRuntime):
    """The reference that needs no framework: `QuantizedModel.compute`."""

    name = "alir"

    def compute(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """The interpreter's outputs."""
        return self._quantized.compute(x, threads=1)
