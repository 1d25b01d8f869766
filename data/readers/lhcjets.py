"""The hls4ml LHC jet set with 150 particles (Pierini, Duarte, Tran, Freytsis; Zenodo 3602260).

`jetConstituentList` (N, 150, 16) with `particleFeatureNames` (j1_px, …; zero rows where there is no
particle; the published files name a 17th, j1_pdgid, that has no column) and `jets` (N, 59) with `jetFeatureNames`, which end in the flags j_g, j_q, j_w, j_z, j_t,
j_undef. The images in the file are not read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    from_one_hot,
    missing,
)
from triggerforge.data.readers.hdf5 import dataset, opened, rows, texts
from triggerforge.data.readers.padded import Constituents
from triggerforge.errors import DataError

LAYOUT = "hls4ml LHC jets HDF5"
LHC_CLASSES = ("g", "q", "w", "z", "t")
_FLAGS = tuple(f"j_{name}" for name in LHC_CLASSES)
_PARTICLE_ALIASES = {"energy": "e", "deta": "etarel", "dphi": "phirel", "pt_rel": "ptrel"}
_MOMENTUM = {"energy": "e", "px": "px", "py": "py", "pz": "pz", "pt": "pt"}
_EVENT_ALIASES = {"jet_pt": "j_pt", "jet_eta": "j_eta", "jet_mass": "j_mass"}


class LhcJetsReader:
    """Reads one file of the set; see the module's docstring for its layout."""

    format = "lhcjets"
    aliases = frozenset([*_PARTICLE_ALIASES, *_EVENT_ALIASES])
    classes: tuple[str, ...] = LHC_CLASSES

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path, LAYOUT) as file:
            jets = dataset(file, path, "jets")
            particles = dataset(file, path, "jetConstituentList")
            jet_names = texts(file, path, "jetFeatureNames")
            particle_names = texts(file, path, "particleFeatureNames")
            if jets.ndim != 2 or particles.ndim != 3 or len(jets) != len(particles):
                raise DataError(f"{path}: jets {jets.shape} and constituents {particles.shape}")
            if jets.shape[1] != len(jet_names) or particles.shape[2] > len(particle_names):
                raise DataError(
                    f"{path}: {len(jet_names)} and {len(particle_names)} names for jets of "
                    f"{jets.shape[1]} and constituents of {particles.shape[2]} columns"
                )
            self.entries = int(jets.shape[0])
            particle_names = particle_names[: particles.shape[2]]
        particle_names = [n.removeprefix("j1_") for n in particle_names]
        self._events = _columns(jet_names, _EVENT_ALIASES)
        self._particles = _columns(particle_names, _PARTICLE_ALIASES)
        self.event_columns = frozenset(self._events)
        self.labelled = self.event_columns.issuperset(_FLAGS)
        self.particle_columns = frozenset(self._particles)
        if "e" not in self._particles:
            raise missing(path, "particle feature", "j1_e", self.particle_columns)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        if request.label and not self.labelled:
            name = next(name for name in _FLAGS if name not in self._events)
            raise missing(self.path, "jet feature", name, self.event_columns)
        constituents = Constituents(self.path, "energy")
        yield from constituents.close(self._chunks(request, size, constituents))

    def _chunks(self, request: Request, size: int, constituents: Constituents) -> Iterator[Chunk]:
        with opened(self.path, LAYOUT) as file:
            lists = rows(dataset(file, self.path, "jetConstituentList"), self.path, size)
            for first, table in rows(dataset(file, self.path, "jets"), self.path, size):
                places = next(lists)[1] if request.particles else None
                yield self._chunk(first, table, places, request, constituents)
                del table, places  # or they would stay while the next ones are read

    def _chunk(
        self,
        first: int,
        table: NDArray[Any],
        places: NDArray[Any] | None,
        request: Request,
        constituents: Constituents,
    ) -> Chunk:
        particles: dict[str, NDArray[Any]] = {}
        counts = None
        if places is not None:
            own = self._particles
            momentum = {n: places[:, :, own[c]] for n, c in _MOMENTUM.items() if c in own}
            wanted = {n: places[:, :, own[n]] for n in request.particles}
            particles, counts = constituents.take(momentum, wanted)
        flags = [self._events[name] for name in _FLAGS] if request.label else []
        return Chunk(
            first=first,
            events={n: table[:, self._events[n]] for n in request.events},
            particles=particles,
            counts=counts,
            label=from_one_hot(self.path, table[:, flags], first) if request.label else None,
            size=len(table),
        )


def _columns(names: list[str], aliases: dict[str, str]) -> dict[str, int]:
    """Name -> column, with the names that this project uses for some of them beside."""
    columns = {name: i for i, name in enumerate(names)}
    extra = {a: columns[name] for a, name in aliases.items() if name in columns}
    return extra | columns


@READERS.register("lhcjets")
def open_lhcjets(path: Path, config: DataConfig) -> Reader:
    """A reader of the LHC jet set with 150 particles."""
    return LhcJetsReader(path)
