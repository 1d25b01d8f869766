"""HGQ2's own arithmetic, the reference of every parity check, in floats that are wide enough.

Keras computes in float32, whose 24 bits hold every number of a typical quantised network exactly.
Where a sum is wider, the same model is loaded in float64.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from triggerforge.compression.backend import keras

# isort: split
import jax
import numpy as np
from alkaid.types import CombLogic
from numpy.typing import NDArray

from triggerforge.compression.keras_archive import rewritten
from triggerforge.compression.keras_file import load_keras

T = TypeVar("T")
_BATCH = 4096
_FLOAT32_BITS = 24
_TURN = threading.RLock()
"""float64 is a setting of Keras as a whole, so that threads compute one after the other"""


class Reference:
    """The HGQ2 model of a .keras file, in float32 or, with `double`, in float64."""

    def __init__(self, keras_file: bytes, double: bool) -> None:
        self._precision = _in_float64 if double else nullcontext
        with _TURN, self._precision():
            self.model = load_keras(_retyped(keras_file) if double else keras_file)

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs (N, outputs) for x (N, *shape) on the grid of the inputs."""
        return self.run(lambda model: predict_exact(model, x))

    def run(self, work: Callable[[keras.Model], T]) -> T:
        """What `work` makes of the model, in the reference's precision."""
        with _TURN, self._precision():
            return work(self.model)


def predict_exact(model: keras.Model, x: NDArray[Any]) -> NDArray[np.float64]:
    """Outputs (N, outputs) of a Keras model for x (N, *shape), in batches and in its precision."""
    if not len(x):
        return np.zeros((0, *model.output_shape[1:]))
    size = min(len(x), _BATCH)
    parts = [
        np.asarray(model(_filled(x[start : start + size], size), training=False))
        for start in range(0, len(x), size)
    ]
    return np.concatenate(parts)[: len(x)].astype(np.float64)


def _filled(x: NDArray[Any], size: int) -> NDArray[Any]:
    """x and zeros up to `size` events: for another size every operation would be compiled anew."""
    return np.pad(x, [(0, size - len(x)), *[(0, 0)] * (x.ndim - 1)])


def needs_double(alir: CombLogic) -> bool:
    """Whether some number in the graph has more bits than float32 holds."""
    return any(sum(op.qint.kif) > _FLOAT32_BITS for op in alir.ops)


def _retyped(keras_file: bytes) -> bytes:
    """The file with every layer's dtype float64 in the place of float32."""
    return rewritten(keras_file, {"config.json": _wider})


def _wider(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _wider(value) for key, value in config.items()}
    if isinstance(config, list):
        return [_wider(value) for value in config]
    return "float64" if config == "float32" else config


@contextmanager
def _in_float64() -> Iterator[None]:
    """New Keras layers are of float64, and JAX computes in it."""
    from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE

    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    kept = dict(BIT64_TO_BIT32_DTYPE)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    BIT64_TO_BIT32_DTYPE["float64"] = "float64"  # else Keras' floor and others round to float32
    try:
        with jax.enable_x64(True):
            yield
    finally:
        BIT64_TO_BIT32_DTYPE.update(kept)
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
