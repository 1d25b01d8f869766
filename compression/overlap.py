"""How far two scores keep the same events when both are cut to the same rate."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ModelError

Array = NDArray[np.float64]
LARGEST_FRACTION = 0.1
_FEWEST = 20.0
_POINTS = 12


@dataclass(frozen=True)
class Overlap:
    """The weight of ordinary events that two scores both accept, over what each accepts, 0..1.

    It is averaged over accepted fractions, evenly in their logarithm: from the smallest of which the
    events hold 20 (effective, (Σw)²/Σw²), to a tenth. A reconstruction loss or an AUC would hardly
    notice the tail, which is all that a trigger keeps; one threshold would hang on few events.
    """

    accepted: Array
    """(F, N): at each fraction, how much (0..1) of each event the reference accepts"""
    fractions: Array
    """(F,)"""
    weight: Array

    @classmethod
    def of(cls, reference: NDArray[np.floating[Any]], weight: NDArray[np.floating[Any]]) -> Self:
        """From the reference's scores and the weights (N,).

        Raises ModelError where the events do not reach from 20 effective ones to a tenth.
        """
        w = np.asarray(weight, np.float64)
        fractions = supported_fractions(reference, w)
        return cls(_accepted(np.asarray(reference, np.float64), w, fractions), fractions, w)

    def __call__(self, outputs: NDArray[np.floating[Any]]) -> float:
        """Of the scores in the first column of (N, 1)."""
        mine = _accepted(np.asarray(outputs[:, 0], np.float64), self.weight, self.fractions)
        shared = np.minimum(self.accepted, mine) @ self.weight
        return float(np.mean(shared / (self.fractions * self.weight.sum())))


def supported_fractions(score: NDArray[np.floating[Any]], weight: Array) -> Array:
    """Accepted fractions of (N,) events, rising, evenly in the logarithm; see Overlap."""
    order = np.argsort(-np.asarray(score, np.float64), kind="stable")
    passed = np.cumsum(weight[order])
    effective = passed**2 / np.cumsum(weight[order] ** 2)
    fraction = passed / passed[-1]
    usable = fraction[(effective >= _FEWEST) & (fraction < LARGEST_FRACTION)]
    if not len(usable):
        raise ModelError(
            f"{len(score)} ordinary events hold no {_FEWEST:g} in their most anomalous "
            f"{100 * LARGEST_FRACTION:g} %; use more events"
        )
    return np.geomspace(usable[0], LARGEST_FRACTION, _POINTS)


def _accepted(score: Array, weight: Array, fractions: Array) -> Array:
    """How much of each event is in the part of largest score, (F, N); equal scores share what is left."""
    values, place = np.unique(-score, return_inverse=True)
    blocks = np.bincount(place, weight, minlength=len(values))
    above = np.cumsum(blocks) - blocks
    left = fractions[:, None] * weight.sum() - above
    part: Array = np.clip(left / np.maximum(blocks, 1e-300), 0.0, 1.0)[:, place]
    return part
