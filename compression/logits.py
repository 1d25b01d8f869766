"""Outputs before the last softmax or sigmoid: the same order, without a function that hardware lacks."""

from typing import Any

from triggerforge.compression.backend import hgq, keras

_SQUASHING = ("softmax", "sigmoid", "log_softmax", "log_sigmoid")


def without_last_squashing(model: keras.Model) -> tuple[keras.Model, list[str]]:
    """`model` up to its last softmax or sigmoid, and sentences that say what was left out.

    Both keep the order of the outputs. A quantiser behind them goes too: it rounds numbers between 0
    and 1, and logits are none.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return model, []
    behind, layer = [], _maker(model.outputs[0])
    while isinstance(layer, hgq.quantizer.Quantizer) or _does_nothing(layer):
        behind.append(layer)
        layer = _maker(layer.input)
    name = _squashing(layer)
    if name is None:
        return model, []
    quantised = any(isinstance(each, hgq.quantizer.Quantizer) for each in behind)
    if _is_only_that(layer):
        outputs = layer.input
    else:
        layer.activation = keras.activations.linear
        outputs = layer.output
        if quantised := quantised or bool(getattr(layer, "enable_oq", False)):
            layer._enable_oq = False
    told = f"the {name} of {layer.name!r} at the end is left out"
    if quantised:
        told += ", and the quantiser of its values"
    kept = model if not behind and outputs is model.outputs[0] else None
    return kept or keras.Model(model.inputs[0], outputs, name=model.name), [
        f"{told}; outputs are logits"
    ]


def _maker(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _does_nothing(layer: Any) -> bool:
    """A layer that gives what it is given, in use."""
    if type(layer) in (keras.layers.Identity, keras.layers.Dropout):
        return True
    return type(layer) is keras.layers.Activation and layer.activation is keras.activations.linear


def _squashing(layer: Any) -> str | None:
    if type(layer) is keras.layers.Softmax:
        return "softmax"
    if isinstance(layer, hgq.layers.QUnaryFunctionLUT):  # a table, which hardware has
        return None
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    return name if name in _SQUASHING else None


def _is_only_that(layer: Any) -> bool:
    return type(layer) in (keras.layers.Softmax, keras.layers.Activation)
