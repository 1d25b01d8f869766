"""Whether every layer of a Keras model computes in fixed point.

A layer that computes in floats has no bits and no EBOPs, whatever stands around it: the costs of such
a model are not those of its hardware. What only moves, adds, multiplies or compares numbers keeps them
on a grid and needs no quantiser of its own.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.layer_tree import is_hgq, operations, with_inner
from triggerforge.errors import ModelError

_EXACT_LAYERS = frozenset(
    {
        *("InputLayer", "Reshape", "Flatten", "Permute", "RepeatVector", "Concatenate", "Identity"),
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"),
        *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D"),
        *("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Dot", "Masking"),
        *("MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    }
)
_EXACT_OPERATIONS = frozenset(
    {
        *(
            "Reshape",
            "Ravel",
            "Transpose",
            "Moveaxis",
            "Swapaxes",
            "ExpandDims",
            "Squeeze",
            "GetItem",
        ),
        *("Concatenate", "Stack", "Split", "Repeat", "Tile", "Pad", "Roll", "Flip", "BroadcastTo"),
        *(
            "Add",
            "Subtract",
            "Multiply",
            "Negative",
            "Absolute",
            "Abs",
            "Square",
            "Sum",
            "Max",
            "Amax",
        ),
        *(
            "Min",
            "Amin",
            "Maximum",
            "Minimum",
            "Matmul",
            "Einsum",
            "Dot",
            "Relu",
            "Identity",
            "Cast",
        ),
        *("Copy", "StopGradient", "Clip", "Sign", "Where"),
    }
)
_LINEAR = ("linear", "relu")


@dataclass(frozen=True)
class FloatLayer:
    """A layer that computes in floating point, and why that is so."""

    name: str
    """with those of the models and layers that it is in, as "trunk/dense" """
    kind: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}: {self.why})"


def float_layers(model: keras.Model) -> list[FloatLayer]:
    """The layers and operations of `model`, those of models inside it too, without quantisers."""
    return [
        FloatLayer(name, type(operation).__name__, why)
        for name, operation in operations(model)
        if (why := _why_float(operation))
    ]


def require_quantised(model: keras.Model) -> None:
    """Raises ModelError, which names them, where layers of `model` compute in floating point."""
    found = float_layers(model)
    if found:
        shown = "; ".join(map(str, found[:5])) + ("; …" if len(found) > 5 else "")
        raise ModelError(
            f"{len(found)} of the model's layers compute in floating point: {shown}. Put HGQ2's "
            "layers of these kinds in their place (hgq.layers), fold a normalisation into the weights "
            "beside it, or wrap a function in QUnaryFunctionLUT, and train again"
        )


def _why_float(operation: Any) -> str:
    """Why the layer or operation is of floats; empty where it is not."""
    kind = type(operation).__name__
    if isinstance(operation, hgq.quantizer.Quantizer):
        return _unbounded(operation, "it")
    if is_hgq(operation):
        return _of_quantised_kind(operation)
    if not isinstance(operation, keras.layers.Layer):
        return "" if kind in _EXACT_OPERATIONS else "a function of floats"
    if kind in ("Activation", "ReLU"):
        return _of_activation(operation)
    if kind.startswith(("AveragePooling", "GlobalAveragePooling")):
        return _of_average(operation)
    if kind in _EXACT_LAYERS:
        return ""
    return "its weights have no quantiser" if operation.weights else "a function of floats"


def _of_quantised_kind(layer: Any) -> str:
    """Of a layer of HGQ2: a kernel, bias or table whose quantiser is absent or does nothing."""
    for holder in with_inner(layer):
        for words, quantizer in _needed(holder):
            if why := _unbounded(quantizer, words):
                return why
    function = _function(layer)
    table = isinstance(layer, hgq.layers.QUnaryFunctionLUT)
    if not table and function not in _LINEAR:
        return f"its activation {function!r} is no table"
    return ""


def _needed(layer: Any) -> list[tuple[str, Any]]:
    """The quantisers without which `layer` computes in floats, in words."""
    found = []
    if hasattr(layer, "kq"):
        found.append(("its kernel", layer.kq))
    if getattr(layer, "bias", None) is not None and hasattr(layer, "bq"):
        found.append(("its bias", layer.bq))
    if hasattr(layer, "toq"):
        found.append(("its table", layer.toq))
    if isinstance(layer, hgq.layers.QUnaryFunctionLUT):
        found.append(("its table", layer.oq if layer.enable_oq else None))
    return found


def _unbounded(quantizer: Any, what: str) -> str:
    """Why `quantizer` gives floats; empty where it gives fixed-point numbers."""
    inner = getattr(quantizer, "quantizer", None)
    if inner is None or getattr(inner, "__dummy__", False):
        return f"{what} has no quantiser"
    return "" if hasattr(type(inner), "kif") else f"{what} is quantised to {type(inner).__name__}"


def _function(layer: Any) -> str:
    function = getattr(layer, "activation", None)
    return "linear" if function is None else str(getattr(function, "__name__", function))


def _of_activation(layer: Any) -> str:
    if type(layer).__name__ == "Activation":
        name = _function(layer)
        return "" if name in _LINEAR else f"{name!r} is no table"
    plain = not layer.negative_slope and not layer.threshold
    return "" if plain else "a ReLU with a slope or threshold is no table"


def _of_average(layer: Any) -> str:
    """A mean over 2^k pixels moves the binary point; another one leaves the grid."""
    if type(layer).__name__.startswith("Global"):
        count = int(np.prod(layer.input.shape[1:-1]))
    else:
        count = int(np.prod(layer.pool_size))
    if math.log2(count) % 1 == 0:
        return ""
    return f"a mean over {count} values, no power of two, has no grid"
