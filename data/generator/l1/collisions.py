"""Pools of simulated collisions, kept as lit towers and muons, to be overlaid again and again."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.events import EventBatch, Generator
from triggerforge.data.generator.l1.muons import Muons, find_muons
from triggerforge.data.generator.l1.processes import Process
from triggerforge.data.generator.l1.suep import SoftBomb
from triggerforge.data.generator.l1.towers import Deposits, deposit
from triggerforge.data.generator.particles import visible
from triggerforge.data.generator.pool import SUFFIX, read_chunk
from triggerforge.data.generator.rootfile import joined
from triggerforge.data.generator.sample import Columns
from triggerforge.data.generator.seeds import derived_seed, pythia_seed

_BATCH_EVENTS = (10, 200)  # the fewest and the most; as many as are still wanted between


@dataclass(frozen=True)
class PoolTask:
    """What a worker needs to simulate one chunk of a pool."""

    process: Process
    energy: float
    """of the proton pair [GeV]"""
    index: int
    size: int
    """collisions"""
    seed: int
    """of the run"""
    extra: tuple[str, ...] = ()
    """further Pythia settings"""

    @property
    def name(self) -> str:
        """Stem of the chunk's file."""
        return f"pool-{self.process.name}-{self.index:05d}"

    def make(self) -> Columns:
        """Lit towers, muons and pTHat of exactly `size` collisions, and their cross-section.

        Raises ConfigError if Pythia refuses the settings, DataError if all of its events fail.
        """
        seed = derived_seed(self.seed, self.name)
        rng = np.random.default_rng(seed)
        hook = SoftBomb(pythia_seed(seed)) if self.process.hook == "suep" else None
        settings = self.process.settings(self.energy, pythia_seed(seed), self.extra)
        generator = Generator(settings, hook)
        parts: list[Columns] = []
        made = tried = 0
        while made < self.size:
            batch = generator.next(int(np.clip(self.size - made, *_BATCH_EVENTS)))
            kept = self._kept(batch)[: self.size - made]
            tried += len(batch) if made + len(kept) < self.size else int(kept[-1]) + 1
            if len(kept):
                parts.append(_columns(batch, kept, generator, rng))
            made += len(kept)
        share = {"sigma": np.array([generator.cross_section * made / tried])}
        return joined(parts) | share

    def _kept(self, batch: EventBatch) -> NDArray[np.int64]:
        limit = self.process.pthat_max
        return np.flatnonzero(batch.pthat < (np.inf if limit is None else limit))


def _columns(
    batch: EventBatch, kept: NDArray[np.int64], generator: Generator, rng: np.random.Generator
) -> Columns:
    particles = visible(batch, generator)
    number = np.full(len(batch), -1)
    number[kept] = np.arange(len(kept))
    inside = number[particles.event] >= 0
    particles = particles.take(inside)
    particles.event[:] = number[particles.event]
    towers = deposit(particles, len(kept), rng)
    muons = find_muons(particles, len(kept), rng)
    return {
        "pthat": batch.pthat[kept].astype(np.float32),
        "tower_counts": towers.counts,
        "tower_cell": towers.cell,
        "tower_et": towers.et,
        "muon_counts": muons.counts,
        "muon_pt": muons.pt,
        "muon_eta": muons.eta,
        "muon_phi": muons.phi,
    }


@dataclass(frozen=True)
class Pool:
    """C collisions of one process."""

    name: str
    towers: Deposits
    muons: Muons
    pthat: NDArray[np.float32]
    """(C,) [GeV]"""
    sigma: float
    """cross-section [mb]: of the soft pool without what pTHat takes out of it"""

    def __len__(self) -> int:
        return len(self.pthat)


@lru_cache(maxsize=32)
def load_pool(folder: Path, process: str) -> Pool:
    """The pool of a process from its chunks in `folder`, which must all be there."""
    paths = sorted(folder.glob(f"pool-{process}-*{SUFFIX}"))
    whole = joined([read_chunk(path) for path in paths])
    return Pool(
        name=process,
        towers=Deposits(*(whole[f"tower_{n}"] for n in ("counts", "cell", "et"))),  # type: ignore[arg-type]
        muons=Muons(*(whole[f"muon_{n}"] for n in ("counts", "pt", "eta", "phi"))),  # type: ignore[arg-type]
        pthat=whole["pthat"],  # type: ignore[arg-type]
        sigma=float(np.mean(whole["sigma"].astype(np.float64))),
    )
