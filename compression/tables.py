"""Activation functions with a parameter, in a form that Keras saves and that tables are made of."""

from typing import Any, Self

from triggerforge.compression.backend import keras


class _Saved:
    """What Keras makes a function of again, when it reads a model."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The function of which `get_config` told the parameters."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="triggerforge")
class LeakyRelu(_Saved):
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
class GeluTanh(_Saved):
    """GELU in its tanh approximation (torch's approximate="tanh")."""

    __name__ = "triggerforge_gelu_tanh"

    def __call__(self, x: Any) -> Any:
        return keras.activations.gelu(x, approximate=True)

    def get_config(self) -> dict[str, float]:
        """What Keras saves."""
        return {}
