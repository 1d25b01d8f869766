"""Keras as this project uses it: on JAX, quietly, with exact float32 products.

Import this module before keras or hgq. The choice of backend is KERAS_BACKEND's where that is set.
"""

import inspect
import os
import warnings
from types import FrameType, SimpleNamespace

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# JAX on a GPU takes three quarters of its memory at once: nothing would be left for torch's engines
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import hgq.config
    import hgq.constraints
    import hgq.layers
    import hgq.utils.misc
    import keras


def _outer_frames(frame: FrameType, context: int) -> list[tuple[FrameType]]:
    """The frame and its caller, as `inspect.getouterframes` gives them, without source lines."""
    assert frame.f_back is not None
    return [(frame,), (frame.f_back,)]


# HGQ2 asks for the source lines of the whole stack to read its caller's variables, in every layer:
# 0.1 to 0.2 s each, more than the rest of making a network
hgq.utils.misc.inspect = SimpleNamespace(
    currentframe=inspect.currentframe, getouterframes=_outer_frames
)

if keras.backend.backend() == "jax":
    import jax

    # a GPU multiplies float32 in 10-bit mantissas unless told not to: fixed point would not be exact
    jax.config.update("jax_default_matmul_precision", "highest")  # type: ignore[no-untyped-call]

__all__ = ["hgq", "keras"]
