"""One chunk: a fixed number of jets of one class, from its own seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.cards import CARDS
from triggerforge.data.generator.decays import IsotropicDecays
from triggerforge.data.generator.detector import respond
from triggerforge.data.generator.events import EventBatch, Generator
from triggerforge.data.generator.features import high_level_features
from triggerforge.data.generator.jets import Jets, cluster, in_window, matched
from triggerforge.data.generator.particles import visible
from triggerforge.data.generator.recipes import JetClass, Recipe
from triggerforge.data.generator.sample import Columns
from triggerforge.data.generator.schema import JET_BRANCHES, PART_BRANCHES
from triggerforge.data.generator.seeds import derived_seed, pythia_seed
from triggerforge.data.generator.tracker import wrap
from triggerforge.data.generator.truth import parents
from triggerforge.errors import DataError

_BATCH_EVENTS = (10, 200)  # the fewest and the most; as many as jets are still wanted between
_BATCHES_WITHOUT_JETS = 20
_EVENTS_PER_CHUNK, _EVENTS_PER_CLASS = 10**8, 10**15  # what event numbers leave room for


@dataclass(frozen=True)
class ChunkTask:
    """What a worker needs to make one chunk."""

    recipe: Recipe
    label: int
    index: int
    """of the chunk within its class"""
    jets: int
    seed: int
    """of the run"""

    @property
    def jet_class(self) -> JetClass:
        """The class that all jets of the chunk have."""
        return self.recipe.classes[self.label]

    @property
    def name(self) -> str:
        """Stem of the chunk's file."""
        return f"{self.jet_class.name}-{self.index:05d}"

    @property
    def size(self) -> int:
        """Jets of the chunk."""
        return self.jets

    @property
    def chunk_seed(self) -> int:
        """64 bits from the run's seed, the class and the chunk, and from nothing else."""
        return derived_seed(self.seed, self.jet_class.name, self.index)

    def make(self) -> Columns:
        """See `make_chunk`."""
        return make_chunk(self)


def make_chunk(task: ChunkTask) -> Columns:
    """The columns of exactly `task.jets` jets: the same bits for the same task.

    They are flat; `npart` (J,) says how many constituents each jet has.

    Raises ConfigError if Pythia refuses the settings, DataError if no jet passes the selection.
    """
    seed = pythia_seed(task.chunk_seed)
    hooks = IsotropicDecays(seed) if task.jet_class.isotropic else None
    generator = Generator(task.recipe.settings(task.jet_class, seed), hooks)
    rng = np.random.default_rng(task.chunk_seed)
    parts: list[Columns] = []
    jets = empty = first_event = 0
    while jets < task.jets:
        wanted = int(np.clip(task.jets - jets, *_BATCH_EVENTS))
        batch = generator.next(wanted)
        found = select_jets(task.recipe, task.jet_class, batch, generator, rng)
        empty = 0 if len(found.pt) else empty + 1
        if empty == _BATCHES_WITHOUT_JETS:
            raise DataError(_no_jets(task, first_event + len(batch)))
        if len(found.pt):
            number = _first_number(task) + first_event
            parts.append(_columns(found, task, number))
        jets += len(found.pt)
        first_event += len(batch)
    return _first_jets(parts, task.jets)


def select_jets(
    recipe: Recipe,
    jet_class: JetClass,
    batch: EventBatch,
    generator: Generator,
    rng: np.random.Generator,
) -> Jets:
    """Jets of one batch of events that lie in the recipe's window and match a parent."""
    objects = visible(batch, generator)
    if recipe.detector != "none":
        objects = respond(objects, CARDS[recipe.detector], rng)
    jets = cluster(objects, len(batch), recipe.radius, recipe.jet_pt[0])
    jets = jets.take(in_window(jets, recipe.jet_pt, recipe.jet_abs_eta_max))
    truth = parents(batch, jet_class.parents, jet_class.contained)
    return jets.take(matched(jets, truth, recipe.radius))


def _columns(jets: Jets, task: ChunkTask, first_event: int) -> Columns:
    features = high_level_features(jets, task.recipe.radius)
    kept = jets if task.recipe.constituents is None else jets.leading(task.recipe.constituents)
    columns: dict[str, NDArray[np.generic]] = {
        "label": np.full(len(jets.pt), task.label),
        "event": first_event + jets.event,
        "jet_pt": jets.pt,
        "jet_eta": jets.eta,
        "jet_phi": jets.phi,
        "jet_mass": jets.mass,
        "jet_energy": jets.energy,
        **features,
    }
    typed = {name: columns[name].astype(branch.type) for name, branch in JET_BRANCHES.items()}
    return typed | {"npart": kept.counts.astype(np.int32)} | dict(_part_columns(kept))


def _part_columns(jets: Jets) -> Iterator[tuple[str, NDArray[np.generic]]]:
    parts = jets.constituents
    columns: dict[str, NDArray[np.generic]] = {
        "pt": parts.pt,
        "eta": parts.eta,
        "phi": parts.phi,
        "energy": parts.energy,
        "px": parts.pt * np.cos(parts.phi),
        "py": parts.pt * np.sin(parts.phi),
        "pz": parts.pt * np.sinh(parts.eta),
        "deta": parts.eta - np.repeat(jets.eta, jets.counts),
        "dphi": wrap(parts.phi - np.repeat(jets.phi, jets.counts)),
        "charge": parts.charge,
        "class": parts.kind,
    }
    for name, branch in PART_BRANCHES.items():
        yield f"part_{name}", columns[name].astype(branch.type)


def _first_jets(parts: list[Columns], jets: int) -> Columns:
    whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    constituents = int(np.sum(whole["npart"][:jets], dtype=np.int64))
    return {
        name: column[: constituents if name.startswith("part_") else jets]
        for name, column in whole.items()
    }


def _first_number(task: ChunkTask) -> int:
    return task.label * _EVENTS_PER_CLASS + task.index * _EVENTS_PER_CHUNK


def _no_jets(task: ChunkTask, events: int) -> str:
    low, high = task.recipe.jet_pt
    return (
        f"class {task.jet_class.name!r}: no jet with {low} < pT < {high} GeV and "
        f"|eta| < {task.recipe.jet_abs_eta_max} in the last of {events} events; widen the window"
    )
