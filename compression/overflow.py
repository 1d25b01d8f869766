"""How often each tensor inside a quantised network leaves its range: the audit behind the ports.

A quantiser that wraps turns a large number into a small one, one that saturates cuts it off; neither
is seen in the outputs of engines that agree. The numbers are those of the model's own reference,
which are exact, taken just before each quantiser.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import keras
from triggerforge.compression.layer_sites import watched
from triggerforge.compression.quantized_model import QuantizedModel

_BATCH = 1024  # every quantiser's input is held for as many events


def overflow_audit(quantized: QuantizedModel, x: NDArray[Any]) -> list[dict[str, Any]]:
    """One row a quantised tensor of the network, for events x (N, *shape) on the contract's grid.

    Rows hold `layer`, `tensor`, `kind` ("wrap" or "sat"), `events` and `values` (looked at: events, and
    numbers in them), `overflows` (numbers out of the range) and `events_with_overflow`.
    """
    return quantized.in_reference(lambda model: count_overflows(model, x))


def count_overflows(model: keras.Model, x: NDArray[Any]) -> list[dict[str, Any]]:
    """The rows of `overflow_audit` for a Keras model, in the precision that is set now."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for start in range(0, len(x), _BATCH):
        batch = np.asarray(x[start : start + _BATCH])
        # a batch of one size: for another one every operation would be compiled anew
        size = min(len(x), _BATCH)
        filled = np.pad(batch, [(0, size - len(batch)), *[(0, 0)] * (batch.ndim - 1)])
        for site, values in watched(model, filled)[1]:
            outside = site.outside(values[: len(batch)]).reshape(len(batch), -1)
            row = rows.setdefault((site.layer, site.tensor), _empty(site.wraps))
            row |= {"layer": site.layer, "tensor": site.tensor}
            row["events"] += len(outside)
            row["overflows"] += int(outside.sum())
            row["values"] += outside.size
            row["events_with_overflow"] += int(outside.any(axis=1).sum())
    return list(rows.values())


def _empty(wraps: bool) -> dict[str, Any]:
    counts = dict.fromkeys(("events", "overflows", "values", "events_with_overflow"), 0)
    return {"layer": "", "tensor": "", "kind": "wrap" if wraps else "sat", **counts}
