"""Post-training quantisation: a trained network rounded to so many bits everywhere.

The baseline of every comparison, and the "uniform twin" whose EBOPs the trained bit widths are
measured against. Weights have one format a tensor; activations one a tensor, network inputs one a
feature; ranges come from the float twin on calibration events.
"""

from typing import Any

from numpy.typing import NDArray
from torch import nn

from triggerforge.compression.backend import keras
from triggerforge.compression.keras_writer import write_keras
from triggerforge.compression.lowering import checked_graph
from triggerforge.compression.ranges import set_uniform
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract
from triggerforge.errors import DataError
from triggerforge.fixedpoint import Overflow

_EVENTS = 4096  # enough for a range; the rest of a calibration set is not looked at
_MAX_BITS = 20


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
    Raises DataError for no calibration events or bits outside 2..20, and what `lower` raises.
    """
    return uniform_pair(module, contract, x, bits, percentile)[0]


def uniform_pair(
    module: nn.Module,
    contract: InputContract,
    x: NDArray[Any],
    bits: int = 8,
    percentile: float = 100.0,
) -> tuple[keras.Model, keras.Model]:
    """The model of `uniform`, and the float twin that it was made from; raises what that raises."""
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
        activation_fraction=bits,
        table_bits=bits,
        trainable=False,
        max_bits=bits,
    )
    graph, twin = checked_graph(module, contract)
    model = write_keras(graph, contract, scheme)
    set_uniform(model, twin, contract.quantize(x[:_EVENTS]), bits, percentile)
    return model, twin
