"""Inputs with which an exported file is compared with its model."""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract


def random_port_inputs(contract: InputContract, events: int, seed: int) -> NDArray[np.float32]:
    """x (events, *shape): every bit of the input port random, so every value it can carry."""
    rng = np.random.default_rng(seed)
    x = np.empty((events, *contract.shape), np.float32)
    for i, feature in enumerate(contract.features):
        low, high = feature.format.integer_range
        units = rng.integers(low, high, size=x.shape[:-1], endpoint=True)
        x[..., i] = np.ldexp(units.astype(np.float64), -feature.format.fraction)
    return x


def central_inputs(contract: InputContract, events: int, seed: int) -> NDArray[np.float32]:
    """x (events, *shape): standard normal, on the contract's grid, as normalised data are."""
    rng = np.random.default_rng(seed)
    return contract.quantize(rng.standard_normal((events, *contract.shape)))
