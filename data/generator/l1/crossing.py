"""One chunk of bunch crossings: collisions drawn from the pools, overlaid, seen by Level-1."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.collisions import Pool, load_pool
from triggerforge.data.generator.l1.digitise import Primitives, digitise, region_map
from triggerforge.data.generator.l1.egamma import find_egamma
from triggerforge.data.generator.l1.jetfinder import find_jets
from triggerforge.data.generator.l1.muons import ABS_ETA_MAX, measured
from triggerforge.data.generator.l1.overlay import Draws, Overlaid, draw, overlay
from triggerforge.data.generator.l1.processes import STRATA
from triggerforge.data.generator.l1.strata import Strata
from triggerforge.data.generator.l1.sums import jet_ht, missing_et, total_et
from triggerforge.data.generator.rootfile import joined
from triggerforge.data.generator.sample import Columns
from triggerforge.data.generator.seeds import derived_seed
from triggerforge.data.l1.encode import encode, pad
from triggerforge.data.l1.layout import KINDS

_BATCH_COLLISIONS = 10_000
_SLOTS = {kind.name: kind.slots for kind in KINDS}
PER_CHUNK = ("draws", "towers", "sums")
"""columns of a chunk that are totals, not one entry a crossing"""


@dataclass(frozen=True)
class CrossingTask:
    """What a worker needs to make one chunk of crossings of one class and stratum."""

    folder: Path
    """of the pools' chunks"""
    label: int
    """class: 0 for background, then the signals"""
    part: int
    """stratum of background crossings; -1 for signals"""
    process: str
    """name of the stratum, or of the signal"""
    pileup: float
    index: int
    first: int
    """crossings of this class and stratum in the chunks before"""
    size: int
    per_part: tuple[int, ...]
    """crossings of each stratum in the whole sample"""
    seed: int
    """of the run"""

    @property
    def name(self) -> str:
        """Stem of the chunk's file."""
        return f"crossings-{self.process}-{self.index:05d}"

    def make(self) -> Columns:
        """Branches of exactly `size` crossings, and the totals `PER_CHUNK`."""
        rng = np.random.default_rng(derived_seed(self.seed, self.name))
        pools = [load_pool(self.folder, process.name) for process in STRATA]
        strata = strata_of(pools, self.pileup)
        weight = 1.0 if self.part < 0 else strata.weights(np.array(self.per_part))[self.part]
        batches = [self._batch(first, last, pools, strata, rng) for first, last in _batches(self)]
        whole = joined(batches)
        totals = {name: whole[name].sum(axis=0, keepdims=True) for name in PER_CHUNK}
        constant = {
            "label": np.full(self.size, self.label, np.int32),
            "stratum": np.full(self.size, self.part, np.int32),
            "weight": np.full(self.size, weight),
        }
        return constant | whole | totals

    def _batch(
        self, first: int, last: int, pools: list[Pool], strata: Strata, rng: np.random.Generator
    ) -> Columns:
        crossings = last - first
        if self.part < 0:
            numbers = strata.draw_any(crossings, rng)
        else:
            numbers = strata.draw(self.part, crossings, rng)
        draws = [
            draw(pool, n, rng, self.first + first if k == self.part > 0 else None)
            for k, (pool, n) in enumerate(zip(pools, numbers.T, strict=True))
        ]
        if self.part < 0:
            signal = load_pool(self.folder, self.process)
            draws.append(draw(signal, np.ones(crossings, np.int64), rng, self.first + first))
        branches = _see(overlay(draws, crossings), rng)
        return branches | {
            "collisions": _collisions(draws, crossings),
            "pthat": _hardest(draws, crossings),
            "draws": numbers.sum(axis=0, keepdims=True),
        }


def strata_of(pools: list[Pool], pileup: float) -> Strata:
    """The strata of crossings from the pools of `STRATA`, in their order."""
    return Strata.from_cross_sections(np.array([pool.sigma for pool in pools]), pileup)


def _batches(task: CrossingTask) -> Iterator[tuple[int, int]]:
    """As many crossings at a time as hold about `_BATCH_COLLISIONS` collisions."""
    size = max(int(_BATCH_COLLISIONS / task.pileup), 1)
    for first in range(0, task.size, size):
        yield first, min(first + size, task.size)


def _collisions(draws: list[Draws], crossings: int) -> NDArray[np.int32]:
    """(B,)"""
    owner = np.concatenate([drawn.crossing for drawn in draws])
    return np.bincount(owner, minlength=crossings).astype(np.int32)


def _hardest(draws: list[Draws], crossings: int) -> NDArray[np.float32]:
    """(B,) [GeV]: the largest pTHat of each crossing."""
    result = np.zeros(crossings, np.float32)
    for drawn in draws:
        np.maximum.at(result, drawn.crossing, drawn.pool.pthat[drawn.collision])
    return result


def _see(overlaid: Overlaid, rng: np.random.Generator) -> Columns:
    """What Level-1 makes of B crossings."""
    primitives = digitise(overlaid.et)
    crossings = len(primitives.total)
    jet_crossing, jets = find_jets(primitives)
    groups = {
        "met": missing_et(primitives)[:, None],
        "eg": pad(*find_egamma(primitives), _SLOTS["eg"], crossings),
        "mu": pad(*_track(overlaid, rng), _SLOTS["mu"], crossings),
        "jet": pad(jet_crossing, jets, _SLOTS["jet"], crossings),
    }
    encoded = encode(np.concatenate([groups[kind.name] for kind in KINDS], axis=1), "the generator")
    regions, over = region_map(primitives)
    return {
        "objects": encoded.objects,
        "regions": regions,
        "ht": jet_ht(jet_crossing, jets, crossings).astype(np.float32),
        "et": total_et(primitives).astype(np.float32),
        "saturated": (encoded.saturated.sum(axis=(1, 2)) + over.sum(axis=(1, 2))).astype(np.int32),
        "sums": encoded.saturated.sum(axis=0)[None].astype(np.int64),
        "towers": _tower_totals(primitives),
    }


def _track(
    overlaid: Overlaid, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    pt, eta, phi = overlaid.muons.T
    muons, found = measured(pt, eta, phi, rng)
    found &= np.abs(muons[:, 1]) < ABS_ETA_MAX
    return overlaid.muon_crossing[found], muons[found]


def _tower_totals(primitives: Primitives) -> NDArray[np.int64]:
    """(1, 3): sum of ET in LSB, lit towers, saturated towers."""
    total = primitives.total
    return np.array([[total.sum(dtype=np.int64), np.count_nonzero(total), primitives.saturated]])
