"""LHC Olympics 2020 R&D set (Kasieczka, Nachman, Shih; Zenodo 4536377).

One pandas frame `df` of 2101 columns: pT [GeV], eta, phi of up to 700 hadrons of the event, zero
where there is none, then the label (1: signal, 0: background).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.readers.base import READERS, Chunk, Reader, Request, from_numbers
from triggerforge.data.readers.hdf5 import opened
from triggerforge.data.readers.padded import Constituents
from triggerforge.data.readers.pandastable import PandasTable
from triggerforge.errors import DataError

LAYOUT = "LHC Olympics HDF5"
_QUANTITIES = ("pt", "eta", "phi")


class LhcoReader:
    """Reads one file of the set; see the module's docstring for its layout."""

    format = "lhco"
    aliases: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ("background", "signal")
    event_columns: frozenset[str] = frozenset()
    particle_columns = frozenset(_QUANTITIES)

    def __init__(self, path: Path) -> None:
        self.path = path
        with opened(path, LAYOUT) as file:
            table = PandasTable(file, path)
            self.entries = table.entries
            width = len(table.columns)
            if width < 3 or width % 3 == 2 or not table.columns >= {str(i) for i in range(width)}:
                raise DataError(
                    f"{path}: a frame of {width} columns; 3 for each particle and 1 label, numbered "
                    "from 0, are due (2101 in the R&D set, 2100 without labels)"
                )
            self._slots = width // 3
            self.labelled = width % 3 == 1

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        if request.label and not self.labelled:
            raise DataError(
                f"{self.path} has no column of labels: 3 for each particle, and no more"
            )
        constituents = Constituents(self.path, "pt")
        yield from constituents.close(self._chunks(request, size, constituents))

    def _chunks(self, request: Request, size: int, constituents: Constituents) -> Iterator[Chunk]:
        with opened(self.path, LAYOUT) as file:
            for first, columns in PandasTable(file, self.path).chunks(size):
                stacked = {
                    name: np.stack([columns[str(i)] for i in range(k, 3 * self._slots, 3)], axis=1)
                    for k, name in enumerate(_QUANTITIES)
                    if name in request.particles | {"pt"}
                }
                wanted = {name: stacked[name] for name in request.particles}
                particles, counts = constituents.take({"pt": stacked["pt"]}, wanted)
                yield Chunk(
                    first=first,
                    events={},
                    particles=particles,
                    counts=counts,
                    label=self._labels(columns, first) if request.label else None,
                    size=len(counts),
                )
                del (
                    columns,
                    stacked,
                    wanted,
                    particles,
                )  # or they would stay while the next are read

    def _labels(self, columns: dict[str, NDArray[Any]], first: int) -> NDArray[np.int64]:
        numbers = columns[str(3 * self._slots)]
        return from_numbers(self.path, numbers, len(self.classes), first)


@READERS.register("lhco")
def open_lhco(path: Path, config: DataConfig) -> Reader:
    """A reader of the LHC Olympics set."""
    return LhcoReader(path)
