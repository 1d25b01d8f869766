"""The Top Tagging reference set (Kasieczka, Plehn, Thompson, Russell; Zenodo 2603256).

One pandas table `table` in "table" layout: E_i, PX_i, PY_i, PZ_i [GeV] for i = 0..199, leading in
pT first and zero where there is no constituent, then truthE, truthPX, truthPY, truthPZ, ttv and
is_signal_new (1: top, 0: QCD).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from triggerforge.config.data import DataConfig
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    from_numbers,
    missing,
)
from triggerforge.data.readers.hdf5 import opened
from triggerforge.data.readers.padded import Constituents
from triggerforge.data.readers.pandastable import PandasTable

LAYOUT = "Top Tagging HDF5"
_LABEL = "is_signal_new"
_MOMENTA = {"energy": "E", "px": "PX", "py": "PY", "pz": "PZ"}


class TopTagReader:
    """Reads one file of the set; see the module's docstring for its layout."""

    format = "toptag"
    aliases: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ("qcd", "top")

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path, LAYOUT) as file:
            table = PandasTable(file, path)
            self.entries = table.entries
            for name in ("E_0", "PX_0", "PY_0", "PZ_0"):
                if name not in table.columns:
                    raise missing(path, "column", name, table.columns)
            known = table.columns
        slots = 0
        while all(f"{column}_{slots}" in known for column in _MOMENTA.values()):
            slots += 1
        self._slots = slots
        constituents = {f"{c}_{i}" for c in _MOMENTA.values() for i in range(slots)}
        self.event_columns = known - constituents
        self.labelled = _LABEL in known
        self.particle_columns = frozenset(_MOMENTA)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        if request.label and not self.labelled:
            raise missing(self.path, "column", _LABEL, self.event_columns)
        constituents = Constituents(self.path, "energy")
        yield from constituents.close(self._chunks(request, size, constituents))

    def _chunks(self, request: Request, size: int, constituents: Constituents) -> Iterator[Chunk]:
        with opened(self.path, LAYOUT) as file:
            for first, columns in PandasTable(file, self.path).chunks(size):
                momentum = {
                    name: np.stack([columns[f"{c}_{i}"] for i in range(self._slots)], axis=1)
                    for name, c in _MOMENTA.items()
                }
                wanted = {name: momentum[name] for name in request.particles}
                particles, counts = constituents.take(momentum, wanted)
                yield Chunk(
                    first=first,
                    events={n: columns[n] for n in request.events},
                    particles=particles,
                    counts=counts,
                    label=from_numbers(self.path, columns[_LABEL], len(self.classes), first)
                    if request.label
                    else None,
                    size=len(counts),
                )
                del (
                    columns,
                    momentum,
                    wanted,
                    particles,
                )  # or they would stay while the next are read


@READERS.register("toptag")
def open_toptag(path: Path, config: DataConfig) -> Reader:
    """A reader of the Top Tagging reference set."""
    return TopTagReader(path)
