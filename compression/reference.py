"""HGQ2's own arithmetic as the reference of parity checks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import keras

_BATCH = 4096


def predict_exact(model: keras.Model, x: NDArray[Any]) -> NDArray[np.float64]:
    """Outputs (N, outputs) of the Keras model for x (N, *shape), in batches."""
    parts = [np.asarray(model(x[i : i + _BATCH], training=False)) for i in range(0, len(x), _BATCH)]
    return np.concatenate(parts).astype(np.float64)
