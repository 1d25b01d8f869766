"""Keras as this project uses it: on JAX, quietly, with exact float32 products.

Import this module before keras or hgq. Its settings hold, whatever KERAS_BACKEND, keras.json and JAX's own
variables say: the bits of a network must not depend on the account that makes it. Raises ConfigError
where Keras was imported before with another backend.
"""

import inspect
import os
import warnings
from types import FrameType, SimpleNamespace

from triggerforge.errors import ConfigError

os.environ["KERAS_BACKEND"] = "jax"
for _limit in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):  # somebody's quick test
    os.environ.pop(_limit, None)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# JAX on a GPU takes three quarters of its memory at once: nothing would be left for torch's engines
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

    if keras.backend.backend() != "jax":
        raise ConfigError(
            f"Keras was imported with its backend {keras.backend.backend()!r} before triggerforge, which "
            "needs jax; import triggerforge.compression.backend first, or set KERAS_BACKEND=jax"
        )
    import hgq.config
    import hgq.constraints
    import hgq.layers
    import hgq.utils.misc
    import jax


def _outer_frames(frame: FrameType, context: int) -> list[tuple[FrameType]]:
    """The frame and its caller, as `inspect.getouterframes` gives them, without source lines."""
    assert frame.f_back is not None
    return [(frame,), (frame.f_back,)]


# HGQ2 asks for the source lines of the whole stack to read its caller's variables, in every layer:
# 0.1 to 0.2 s each, more than the rest of making a network
hgq.utils.misc.inspect = SimpleNamespace(
    currentframe=inspect.currentframe, getouterframes=_outer_frames
)

# a GPU multiplies float32 in 10-bit mantissas unless told not to: fixed point would not be exact
jax.config.update("jax_default_matmul_precision", "highest")  # type: ignore[no-untyped-call]
jax.config.update("jax_enable_x64", False)  # type: ignore[no-untyped-call]
keras.config.set_floatx("float32")
keras.config.set_dtype_policy("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")

__all__ = ["hgq", "keras"]
