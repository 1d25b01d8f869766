"""Generator truth: the partons, bosons and top quarks that jets come from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.events import EventBatch

_OUTGOING = 23  # of the hard process
_RESONANCE = 22  # of the hard process, decays
_W = 24
_DECAYING = {6, 23, _W}


@dataclass(frozen=True)
class Directions:
    """K directions of truth objects, in the order of their events."""

    event: NDArray[np.int64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]
    decay: NDArray[np.float64] | None = None
    """(K, 3, 2): eta and phi of the quarks b, q, q' of a top decay"""


def parents(batch: EventBatch, allowed: frozenset[int], with_decay: bool) -> Directions:
    """The hard process' outgoing objects with |PDG id| in `allowed`, just before they branch.

    Bosons and top quarks: just before they decay. With `with_decay` (top quarks) also the three
    quarks of the decay.
    """
    outgoing = np.isin(-batch.status, (_OUTGOING, _RESONANCE))
    first = np.flatnonzero(outgoing & np.isin(np.abs(batch.pdg), list(allowed)))
    last = _decaying(batch, first) if allowed & _DECAYING else _before_branching(batch, first)
    eta, phi = _direction(batch, last)
    decay = _top_decay(batch, last) if with_decay else None
    return Directions(batch.event[last], eta, phi, decay)


def _before_branching(batch: EventBatch, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follows the copies of a parton that only recoil; those have both daughter indices equal."""
    while True:
        daughter = batch.daughter1[index]
        copied = (daughter == batch.daughter2[index]) & (daughter != index)
        copied &= batch.pdg[daughter] == batch.pdg[index]
        if not copied.any():
            return index
        index = np.where(copied, daughter, index)


def _decaying(batch: EventBatch, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """The copy of a resonance that decays, after all its own radiation."""
    while True:
        following = index
        for daughter in (batch.daughter1[index], batch.daughter2[index]):
            same = (batch.pdg[daughter] == batch.pdg[index]) & (daughter != index)
            following = np.where(same, daughter, following)
        if (following == index).all():
            return index
        index = following


def _top_decay(batch: EventBatch, top: NDArray[np.int64]) -> NDArray[np.float64]:
    """(K, 3, 2): eta and phi of b and of the two quarks of the W, for K top quarks."""
    first, second = batch.daughter1[top], batch.daughter2[top]
    first_is_w = np.abs(batch.pdg[first]) == _W
    w = _decaying(batch, np.where(first_is_w, first, second))
    b = np.where(first_is_w, second, first)
    quarks = np.stack([b, batch.daughter1[w], batch.daughter2[w]], axis=1)
    return np.stack(_direction(batch, quarks), axis=-1)


def _direction(
    batch: EventBatch, index: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    px, py, pz = batch.px[index], batch.py[index], batch.pz[index]
    return np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px)
