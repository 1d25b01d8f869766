"""How alkaid traces layers for which its own form (0.8.2) does not fit; import to register.

alkaid keeps a batch axis of one, but its own reshape drops it, and a later layer that counts axes
from the front then sees one too few.
"""

from typing import Any

from triggerforge.compression.backend import keras

# isort: split
# after the backend is chosen: alkaid imports keras
from alkaid.converter.builtin.keras.layers._base import ReplayOperationBase


class _BatchedReshape(ReplayOperationBase):  # type: ignore[misc]
    handles = (keras.layers.Reshape, keras.layers.Flatten)

    def call(self, inputs: Any) -> Any:
        target = getattr(self.op, "target_shape", (-1,))
        return inputs.reshape((inputs.shape[0], *target))
