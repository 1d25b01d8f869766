"""Which function lowers which Keras layer or operation."""

from collections.abc import Callable
from typing import Any

from triggerforge.errors import UnsupportedOperationError, did_you_mean
from triggerforge.export.formats import ElementFormats
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Tensor

Handler = Callable[..., Tensor]
"""(context, layer, *inputs, **arguments of the call) -> output"""
_HANDLERS: dict[str, Handler] = {}
_QUANTIZES_OUTPUT: set[str] = set()


def handles(*names: str, quantizes_output: bool = False) -> Callable[[Handler], Handler]:
    """A decorator: the function lowers the Keras classes of these names.

    With `quantizes_output` the function applies the layer's output quantiser itself.
    """

    def store(handler: Handler) -> Handler:
        for name in names:
            assert name not in _HANDLERS, name
            _HANDLERS[name] = handler
            if quantizes_output:
                _QUANTIZES_OUTPUT.add(name)
        return handler

    return store


def lower_call(context: Lowering, layer: Any, inputs: Any, arguments: dict[str, Any]) -> Tensor:
    """The output of `layer`, its own input and output quantisers included.

    `inputs` is a tensor, or a list of them. Raises UnsupportedOperationError for a layer that has
    no exact form here, naming it and the nearest one that has.
    """
    kind = type(layer).__name__
    context.where = f"{layer.name} ({kind})"
    if kind not in _HANDLERS:
        raise UnsupportedOperationError(
            f"layer {layer.name!r} of type {kind} has no exact ONNX form; "
            + did_you_mean(kind, _HANDLERS)
        )
    if getattr(layer, "enable_iq", False):
        inputs = quantize_inputs(context, layer, inputs)
    out = _HANDLERS[kind](context, layer, inputs, **arguments)
    if getattr(layer, "enable_oq", False) and kind not in _QUANTIZES_OUTPUT:
        out = quantize_with(context, layer.oq, out)
    return out


def quantize_inputs(context: Lowering, layer: Any, inputs: Any) -> Any:
    """`inputs` after the layer's input quantisers."""
    if isinstance(inputs, Tensor):
        return quantize_with(context, layer.iq, inputs)
    return [quantize_with(context, q, x) for q, x in zip(layer.iq, inputs, strict=True)]


def quantize_with(context: Lowering, quantizer: Any, x: Tensor) -> Tensor:
    """x after an HGQ2 `Quantizer`."""
    return context.quantize(x, ElementFormats.of(quantizer, x.shape, context.where))
