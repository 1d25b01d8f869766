"""The HGQ2 Keras model itself: the reference of every parity check."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.export.engines.exact import ExactRuntime


class Hgq2Runtime(ExactRuntime):
    """Keras' own forward pass on the CPU, in floats wide enough to be exact."""

    name = "hgq2"

    def compute(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Keras' outputs."""
        return self._quantized.reference(x).reshape(len(x), -1)
