"""What a Keras model is made of, through the models and layers inside it."""

from collections.abc import Iterator
from typing import Any

from triggerforge.compression.backend import keras


def operations(model: keras.Model, inside: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer and operation of `model`, with its name; those of a model inside it as "trunk/dense".

    A layer of HGQ2 that is made of others (a softmax of two tables) comes as one.
    """
    for operation in getattr(model, "operations", None) or model.layers:
        name = inside + operation.name
        if isinstance(operation, keras.Model):
            yield from operations(operation, f"{name}/")
        else:
            yield name, operation


def is_hgq(operation: Any) -> bool:
    """Whether it is a layer of HGQ2, with quantisers of its own."""
    return hasattr(operation, "enable_iq") and hasattr(operation, "enable_ebops")


def with_inner(layer: Any) -> list[Any]:
    """The layer, and the layers of HGQ2 that it is made of."""
    return [layer, *(part for part in layer._flatten_layers(include_self=False) if is_hgq(part))]
