"""Activations: the ReLU family as comparisons, the rest through tables."""

from typing import Any

from triggerforge.export.handlers import handles, quantize_with
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Tensor


def activate(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """x after the activation that a dense or convolution layer carries.

    Raises UnsupportedOperationError unless it is linear or ReLU: others need a table.
    """
    name = getattr(layer.activation, "__name__", str(layer.activation))
    if layer.activation is None or name == "linear":
        return x
    if name == "relu":
        return x.rectified(context.graph)
    raise context.unsupported(
        f"activation {name!r} inside a layer; use relu or linear there, and QUnaryFunctionLUT "
        "for any other function"
    )


@handles("Activation")
def activation(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """Linear or ReLU as a layer of its own."""
    return activate(context, layer, x)


@handles("ReLU")
def relu(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """ReLU, with neither slope nor threshold nor maximum."""
    if layer.negative_slope or layer.threshold or layer.max_value is not None:
        raise context.unsupported(
            f"ReLU with slope {layer.negative_slope}, threshold {layer.threshold}, maximum "
            f"{layer.max_value}; use a plain ReLU or QUnaryFunctionLUT"
        )
    return x.rectified(context.graph)


@handles("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "Identity")
def nothing(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """Layers that do nothing when a model predicts."""
    return x


@handles("Quantizer")
def quantizer(context: Lowering, layer: Any, x: Tensor) -> Tensor:
    """A quantiser that stands alone."""
    return quantize_with(context, layer, x)
