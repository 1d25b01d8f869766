"""Post-training quantisation: a trained network rounded to so many bits everywhere.

The baseline of every comparison, and the "uniform twin" whose EBOPs the trained bit widths are
measured against. Weights have one format a tensor; activations one a tensor, network inputs one a
feature; ranges come from the float twin on calibration events.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.lowering import lower
from triggerforge.compression.scheme import QuantizationScheme, magnitude_bits
from triggerforge.data.contract import InputContract
from triggerforge.errors import DataError
from triggerforge.fixedpoint import Overflow

_EVENTS = 4096  # enough for a range; the rest of a calibration set is not looked at
_MAX_BITS = 20
_UNBOUNDED = 40  # fraction bits of a quantiser that is no network input; those keep their port's


def uniform(
    module: nn.Module,
    contract: InputContract,
    x: NDArray[Any],
    bits: int = 8,
    percentile: float = 100.0,
) -> keras.Model:
    """The HGQ2 model of `module` with `bits` bits, sign included, for every weight and activation.

    x (N, *contract.shape) are calibration events. The range of an activation is the `percentile`
    of its magnitude, 100 for the largest; what lies outside saturates. The quantisers are fixed.
    Raises DataError for no calibration events or bits outside 2..20.
    """
    if not len(x) or not 2 <= bits <= _MAX_BITS or not 0 < percentile <= 100:
        raise DataError(
            f"post-training quantisation with {len(x)} calibration events, {bits} bits, "
            f"percentile {percentile}; it needs 1 event or more, 2..{_MAX_BITS} bits, 0..100"
        )
    scheme = QuantizationScheme(
        weight_bits=bits,
        bias_bits=bits,
        weight_granularity="layer",
        activation_granularity="layer",
        activation_overflow=Overflow.SAT,
        activation_fraction=_UNBOUNDED,
        table_bits=_UNBOUNDED,
        trainable=False,
        max_bits=bits,
    )
    model = lower(module, contract, scheme)
    calibrate(model, lower(module, contract), contract.quantize(x[:_EVENTS]), bits, percentile)
    return model


def calibrate(
    model: keras.Model, twin: keras.Model, x: NDArray[Any], bits: int, percentile: float
) -> None:
    """Sets every activation quantiser of `model` from what its float `twin` sees for x (N, …)."""
    for quantizer, values in _seen(model, twin, x):
        _set_range(quantizer, values, bits, percentile)


def set_integers(model: keras.Model, twin: keras.Model, x: NDArray[Any]) -> None:
    """Gives every activation quantiser of `model` room for all that `twin` sees for x (N, …).

    A tensor gets one sign and one number of integer bits: an element that x hardly moves may be the
    one that moves in other events. Network inputs keep the formats of their port. Training takes
    bits away from there.
    """
    for quantizer, values in _seen(model, twin, x):
        if getattr(quantizer, "is_port", False):
            continue
        inner = quantizer.quantizer
        integers = np.maximum(magnitude_bits(np.abs(values).max()), -np.asarray(inner._f).min())
        for variable, value in ((inner._k, (values < 0).any()), (inner._i, integers)):
            variable.assign(np.broadcast_to(value, variable.shape))


def _seen(model: keras.Model, twin: keras.Model, x: NDArray[Any]) -> list[tuple[Any, NDArray[Any]]]:
    """Every activation quantiser of `model`, with what it would see in its float `twin`."""
    layers = [layer for layer in model.layers if _quantizers(layer)]
    tensors = [tensor for layer in layers for tensor in _tensors(twin.get_layer(layer.name))]
    seen = iter(_evaluate(twin, tensors, x))
    found: list[tuple[Any, NDArray[Any]]] = []
    for layer in layers:
        values = [next(seen) for _ in range(len(_tensors(layer)))]
        if isinstance(layer, hgq.layers.QSoftmax):
            values = _softmax_values(layer, values[0])
        found += zip(_quantizers(layer), values, strict=True)
    return found


def _quantizers(layer: Any) -> list[Any]:
    """The activation quantisers of `layer`, in the order of `_tensors` or `_softmax_values`."""
    if isinstance(layer, hgq.layers.QSoftmax):
        exp, inv = layer.exp_table, layer.inv_table
        return [exp.iq, exp.oq, inv.iq, inv.oq]
    found: list[Any] = []
    if getattr(layer, "enable_iq", False):
        found += list(layer.iq) if hasattr(layer.iq, "quantizers") else [layer.iq]
    if getattr(layer, "enable_oq", False):
        found.append(layer.oq)
    return found


def _tensors(layer: Any) -> list[Any]:
    """What the quantisers of `layer` see, as tensors of the model that it is in."""
    given = layer.input if isinstance(layer.input, list | tuple) else [layer.input]
    table = isinstance(layer, hgq.layers.QUnaryFunctionLUT | keras.layers.Activation)
    return [*given, layer.output] if table else list(given)


def _softmax_values(layer: Any, x: NDArray[Any]) -> list[NDArray[Any]]:
    """What the tables of a stable softmax read and give."""
    below = x.max(axis=layer.axes, keepdims=True) - x
    exponentials = np.exp(-below * layer.input_scaler)
    sums = exponentials.sum(axis=layer.axes, keepdims=True)
    return [below, exponentials, sums, 1 / sums]


def _evaluate(twin: keras.Model, tensors: list[Any], x: NDArray[Any]) -> list[NDArray[np.float32]]:
    outputs = keras.Model(twin.inputs[0], tensors)(x, training=False)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [np.asarray(output) for output in outputs]


def _set_range(quantizer: Any, values: NDArray[Any], bits: int, percentile: float) -> None:
    """The format of `bits` bits that holds `values` (N, …): a sign if needed, the finest step.

    The step is not made finer than it was: that of a network input is the port's.
    """
    inner = quantizer.quantizer
    axes = tuple(int(a) for a in inner.bw_mapper.homogeneous_axis)
    magnitude = np.percentile(np.abs(values), percentile, axis=axes, keepdims=True)
    signed = (values < 0).any(axis=axes, keepdims=True)
    integers = np.clip(magnitude_bits(magnitude), -bits, bits)
    for variable, value in (
        (inner._k, signed),
        (inner._i, integers),
        (inner._f, np.minimum(bits - signed - integers, np.asarray(inner._f))),
    ):
        variable.assign(np.broadcast_to(value, variable.shape))
