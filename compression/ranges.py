"""Formats of activations from what the float twin computes for calibration events.

The binary point of a format goes where the numbers are: a tensor of thousands has more integer bits
than it has bits (`ap_fixed<8,11>`), one of thousandths a negative number of them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.layer_tree import is_hgq
from triggerforge.compression.scheme import magnitude_bits

_MOST_ABOVE = 6
"""integer bits that the fraction bits at the start of a training are meant for, at most"""


def set_uniform(
    model: keras.Model, twin: keras.Model, x: NDArray[Any], bits: int, percentile: float
) -> None:
    """Every activation quantiser of `model` gets `bits` bits, where its float `twin`'s numbers are.

    x (N, …) are calibration events; the range is the `percentile` of the magnitude.
    """
    for quantizer, values in _seen(model, twin, x):
        _set_range(quantizer, values, bits, percentile)


def set_start(model: keras.Model, twin: keras.Model, x: NDArray[Any]) -> None:
    """Gives the activation quantisers of `model` the formats with which a training begins.

    A quantiser that saturates gets room for all that `twin` sees for x (N, …): one sign and one number
    of integer bits a tensor, for an element that x hardly moves may be the one that moves in other
    events. One that wraps finds its integer bits while it trains. Fraction bits stay as they are for
    numbers of 0 to 6 integer bits, and follow larger and smaller ones: a tensor of thousandths would
    else begin as zeros. Network inputs keep the formats of their port.
    """
    for quantizer, values in _seen(model, twin, x):
        largest = float(np.abs(values).max())
        if getattr(quantizer, "is_port", False) or largest == 0:
            continue
        inner = quantizer.quantizer
        needed = float(magnitude_bits(np.array(largest)))
        moved = needed - min(max(needed, 0.0), _MOST_ABOVE)
        fraction = np.asarray(inner._f) - moved
        inner._f.assign(fraction)
        if moved or not str(inner.overflow_mode).startswith("WRAP"):
            _fill(inner._k, (values < 0).any())
            _fill(inner._i, max(needed, -fraction.min()))


def _seen(model: keras.Model, twin: keras.Model, x: NDArray[Any]) -> list[tuple[Any, NDArray[Any]]]:
    """Every activation quantiser of `model`, with what it would see in its float `twin`."""
    layers = [layer for layer in model.layers if _quantizers(layer)]
    tensors = [tensor for layer in layers for tensor in _tensors(twin.get_layer(layer.name))]
    seen = iter(evaluate(twin, tensors, x))
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
    if is_hgq(layer) and layer.enable_iq:
        found += list(layer.iq) if hasattr(layer.iq, "quantizers") else [layer.iq]
    if is_hgq(layer) and layer.enable_oq:
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


def evaluate(model: keras.Model, tensors: list[Any], x: NDArray[Any]) -> list[NDArray[np.float32]]:
    """The values (N, …) of `tensors` of a Keras model for x (N, *shape)."""
    outputs = keras.Model(model.inputs[0], tensors)(x, training=False)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [np.asarray(output) for output in outputs]


def _set_range(quantizer: Any, values: NDArray[Any], bits: int, percentile: float) -> None:
    """The format of `bits` bits that holds `values` (N, …): a sign if needed, the finest step.

    The step of a network input is not made finer than the port's. Elements that are always 0 keep
    their range.
    """
    inner = quantizer.quantizer
    axes = tuple(int(a) for a in inner.bw_mapper.homogeneous_axis)
    magnitude = np.percentile(np.abs(values), percentile, axis=axes, keepdims=True)
    signed = (values < 0).any(axis=axes, keepdims=True)
    integers = np.where(magnitude > 0, magnitude_bits(magnitude), np.asarray(inner._i))
    fraction = bits - signed - integers
    if getattr(quantizer, "is_port", False):
        fraction = np.minimum(fraction, np.asarray(inner._f))
    for variable, value in ((inner._k, signed), (inner._i, integers), (inner._f, fraction)):
        _fill(variable, value)


def _fill(variable: Any, value: Any) -> None:
    variable.assign(np.broadcast_to(value, variable.shape))
