"""Activation functions with a parameter, in a form that Keras saves and that tables are made of."""

from typing import Any

from triggerforge.compression.backend import keras


@keras.saving.register_keras_serializable(package="triggerforge")
class LeakyRelu:
    """x where x > 0, else slope * x."""

    __name__ = "triggerforge_leaky_relu"

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def __call__(self, x: Any) -> Any:
        return keras.activations.leaky_relu(x, negative_slope=self.slope)

    def get_config(self) -> dict[str, float]:
        """What Keras saves."""
        return {"slope": self.slope}


@keras.saving.register_keras_serializable(package="triggerforge")
class GeluTanh:
    """GELU in its tanh approximation (torch's approximate="tanh")."""

    __name__ = "triggerforge_gelu_tanh"

    def __call__(self, x: Any) -> Any:
        return keras.activations.gelu(x, approximate=True)

    def get_config(self) -> dict[str, float]:
        """What Keras saves."""
        return {}
