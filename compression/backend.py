"""Keras as this project uses it: on JAX, quietly, with exact float32 products.

Import this module before keras or hgq. The choice of backend is KERAS_BACKEND's where that is set.
"""

import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import hgq.config
    import hgq.constraints
    import hgq.layers
    import keras

if keras.backend.backend() == "jax":
    import jax

    # a GPU multiplies float32 in 10-bit mantissas unless told not to: fixed point would not be exact
    jax.config.update("jax_default_matmul_precision", "highest")  # type: ignore[no-untyped-call]

__all__ = ["hgq", "keras"]
