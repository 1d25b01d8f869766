"""The ADC2021 set (Govorkova et al., Sci. Data 9 (2022) 118, arXiv 2107.02157; Zenodo 5046389).

A dataset `Particles` (N, 19, 4): pT [GeV], eta, phi [rad] and the class of MET (1), 4 electrons (2), 4
muons (3) and 10 jets (4); zeros where there is no object. A file holds one process, which its name
says; in files of other names data.label has to say it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.l1.layout import KINDS, OBJECTS
from triggerforge.data.readers.base import READERS, Chunk, Reader, Request
from triggerforge.data.readers.hdf5 import dataset, opened, rows
from triggerforge.data.readers.l1objects import EVENT_COLUMNS, Objects
from triggerforge.errors import DataError

LAYOUT = "ADC2021 HDF5"
DATASET = "Particles"
_COLUMNS = 4
_PREFIXES = {
    "background": "background",
    "Ato4l": "A_4l",
    "leptoquark": "LQ_btau",
    "hToTauTau": "h0_tautau",
    "hChToTauNu": "hpm_taunu",
}
"""beginning of the file's name -> class"""
_CLASSES = np.array([i for i, kind in enumerate(KINDS, start=1) for _ in range(kind.slots)])


class AdcReader:
    """Reads one file of the set; see the module's docstring for its layout."""

    format = "adc2021"
    aliases: frozenset[str] = frozenset()
    event_columns = EVENT_COLUMNS
    particle_columns: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        self.path = path
        names = [name for prefix, name in _PREFIXES.items() if path.name.startswith(prefix)]
        self.classes: tuple[str, ...] = tuple(_PREFIXES.values()) if names else ()
        self._label = self.classes.index(names[0]) if names else -1
        self.labelled = bool(names)
        with opened(path, LAYOUT) as file:
            found = dataset(file, path, DATASET)
            if found.shape[1:] != (OBJECTS, _COLUMNS):
                raise DataError(
                    f"{path}: a dataset {DATASET!r} of shape (N, {OBJECTS}, {_COLUMNS}) is due; "
                    f"found {found.shape}"
                )
            self.entries = len(found)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        objects = Objects(self.path)
        yield from objects.close(self._chunks(request, size, objects))

    def _chunks(self, request: Request, size: int, objects: Objects) -> Iterator[Chunk]:
        with opened(self.path, LAYOUT) as file:
            for first, table in rows(dataset(file, self.path, DATASET), self.path, size):
                self._check_classes(table, first)
                label = np.full(len(table), self._label) if self.classes else None
                yield objects.chunk(first, table[..., :3], request, label)
                del table  # or it would stay while the next one is read

    def _check_classes(self, table: NDArray[np.floating], first: int) -> None:
        bad = (table[..., 3] != _CLASSES) & (table[..., 0] != 0)
        if bad.any():
            event, row = (int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{self.path}: row {row} of event {first + event} is of class "
                f"{table[event, row, 3]:g}, {_CLASSES[row]} is due: MET, 4 electrons, 4 muons, 10 "
                "jets in this order"
            )


@READERS.register("adc2021")
def open_adc2021(path: Path, config: DataConfig) -> Reader:
    """A reader of the ADC2021 set."""
    return AdcReader(path)
