"""Inputs where fixed point goes wrong first, made from the input contract."""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract
from triggerforge.export.probe import random_port_inputs

Inputs = NDArray[np.float32]


def corner_inputs(contract: InputContract, random_events: int, seed: int) -> dict[str, Inputs]:
    """x (N, *shape) of each kind, already on the contract's grid, as every engine is given them.

    "extremes": all 0, all at the lower and at the upper end of the range; "LSB": all one step
    above and below 0, and in turns; "past the range": one step, twice, and far beyond both ends,
    before the contract brings them to the port; "one input": each element of an event alone at
    either end; "random bits": every bit of the port random.
    """
    low, high, step = _per_element(contract)
    turns = np.resize([1.0, -1.0], contract.shape)
    kinds = {
        "extremes": [np.zeros_like(low), low, high, np.where(turns > 0, high, low)],
        "LSB": [step, -step, turns * step, low + step, high - step],
        "past the range": [high + step, low - step, 2 * high, 2 * low - step, 1e6 * (high - low)],
    }
    corners = {name: contract.quantize(np.stack(events)) for name, events in kinds.items()}
    corners["one input"] = contract.quantize(_one_by_one(low, high))
    corners["random bits"] = random_port_inputs(contract, random_events, seed)
    return corners


def _per_element(contract: InputContract) -> tuple[NDArray[np.float64], ...]:
    ends = np.array([f.format.range for f in contract.features])
    steps = np.array([f.format.lsb for f in contract.features])
    return tuple(np.broadcast_to(v, contract.shape).astype(np.float64) for v in (*ends.T, steps))


def _one_by_one(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    size = low.size
    alone = np.concatenate([np.diag(low.ravel()), np.diag(high.ravel())])
    return alone.reshape(2 * size, *low.shape)
