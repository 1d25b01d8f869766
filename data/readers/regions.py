"""Maps of calorimeter regions as CICADA's set has them: HDF5, integers of 0.5 GeV, 18 in phi, 14 in eta.

`CaloRegions` (N, 18, 14), also (N, 18, 14, 1) or (N, 252); or in three sectors of phi, `CaloRegions1` to
`CaloRegions3` (N, 6, 14) (github.com/Princeton-AD/cicada). Or `CaloRegions` (N, R, 3), a list of regions
in any order: et, eta and phi as CMS counts them (gctEta 4 to 17, gctPhi 0 to 17), et 0 where there is no
region. Other datasets of N numbers (`AcceptanceFlag`) are columns.

A file holds one process. Its class is the name in data.classes that the file's own name begins with.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.l1.layout import REGION, REGION_ETA, REGION_PHI, REGIONS, SCALES
from triggerforge.data.readers.base import READERS, Chunk, Reader, Request
from triggerforge.data.readers.hdf5 import children, dataset, opened, rows
from triggerforge.errors import DataError
from triggerforge.progress import say

LAYOUT = "calorimeter regions HDF5"
_WHOLE = "CaloRegions"
_SECTORS = tuple(f"{_WHOLE}{i}" for i in (1, 2, 3))
DATASETS = (_WHOLE, *_SECTORS)
_SHAPES = ((REGION_PHI, REGION_ETA), (REGION_PHI, REGION_ETA, 1), (REGION_PHI * REGION_ETA,))
_SECTOR = (REGION_PHI // 3, REGION_ETA)
_FIRST_ETA = 4
"""gctEta of the first region: the forward calorimeter has those before"""
_HIGHEST = SCALES[REGION].high


class RegionReader:
    """Reads one file; see the module's docstring for its layouts.

    Raises DataError if it has none of them.
    """

    format = "regions"
    aliases: frozenset[str] = frozenset()
    particle_columns: frozenset[str] = frozenset()

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        self.path = path
        own = [name for name in classes if path.name.startswith(name)]
        self.classes = classes if own else ()
        self._label = classes.index(max(own, key=len)) if own else -1
        self.labelled = bool(own)
        with opened(path, LAYOUT) as file:
            found = [dataset(file, path, name) for name in self._sources(file)]
            self._check_shapes(found)
            self.entries = int(found[0].shape[0])
            self._extra = frozenset(name for name, d in children(file) if self._is_column(d))
        self.event_columns = frozenset(REGIONS) | self._extra

    def _sources(self, file: h5py.File) -> tuple[str, ...]:
        return _SECTORS if _WHOLE not in file and _SECTORS[0] in file else (_WHOLE,)

    def _check_shapes(self, found: list[h5py.Dataset]) -> None:
        shapes = [data.shape for data in found]
        good = shapes[0][1:] in _SHAPES or (len(shapes[0]) == 3 and shapes[0][2] == 3)
        if len(found) > 1:
            good = all(s == (shapes[0][0], *_SECTOR) for s in shapes)
        if not good:
            raise DataError(
                f"{self.path}: {found[0].name} of shape {', '.join(map(str, shapes))}; (N, 18, 14), a "
                "list (N, R, 3) of et, eta, phi, or three sectors (N, 6, 14) are due"
            )

    def _is_column(self, found: Any) -> bool:
        return isinstance(found, h5py.Dataset) and found.shape == (self.entries,)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        saturated = first = 0
        with opened(self.path, LAYOUT) as file:
            extra = sorted(request.events & self._extra)
            names = [*self._sources(file), *extra]
            tables_of = (rows(dataset(file, self.path, n), self.path, size) for n in names)
            for pieces in zip(*tables_of, strict=True):
                tables = [piece for _, piece in pieces]
                regions = tables[: len(tables) - len(extra)]
                maps = self._checked(self._maps(regions, first), first)
                saturated += int((maps > _HIGHEST).any(axis=1).sum())
                flat = np.minimum(maps, _HIGHEST).astype(np.int32)
                events = {n: flat[:, i] for i, n in enumerate(REGIONS) if n in request.events}
                events |= dict(zip(extra, tables[len(regions) :], strict=True))
                label = np.full(len(flat), self._label) if self.labelled else None
                yield Chunk(first=first, events=events, label=label, size=len(flat))
                first += len(flat)
                del pieces, tables, regions, maps, flat, events  # or they would stay
        if saturated:
            say(
                f"{self.path}: regions past {_HIGHEST} (10 bits) were saturated in {saturated} of "
                f"{first} events"
            )

    def _maps(self, tables: list[NDArray[Any]], first: int) -> NDArray[Any]:
        """(n, 252) by phi, then by eta."""
        if len(tables) > 1:
            return np.concatenate(tables, axis=1).reshape(len(tables[0]), -1)
        (table,) = tables
        is_list = table.ndim == 3 and table.shape[1:] not in _SHAPES
        return self._filled(table, first) if is_list else table.reshape(len(table), -1)

    def _filled(self, lists: NDArray[Any], first: int) -> NDArray[Any]:
        et, eta, phi = (lists[:, :, i].astype(np.float64) for i in range(3))
        there = et != 0
        eta = eta - _FIRST_ETA
        whole = (np.floor(eta) == eta) & (np.floor(phi) == phi)
        inside = (eta >= 0) & (eta < REGION_ETA) & (phi >= 0) & (phi < REGION_PHI)
        bad = there & ~(whole & inside)
        if bad.any():
            event, row = (int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{self.path}: {int(bad.sum())} regions lie outside eta {_FIRST_ETA} to "
                f"{_FIRST_ETA + REGION_ETA - 1} and phi 0 to {REGION_PHI - 1}, the first is (eta, phi) = "
                f"({lists[event, row, 1]:g}, {lists[event, row, 2]:g}) of event {first + event}"
            )
        where = np.nonzero(there)[0]
        place = (phi[there] * REGION_ETA + eta[there]).astype(np.int64)
        cell = where * len(REGIONS) + place
        if len(np.unique(cell)) != len(cell):
            again = int(np.flatnonzero(np.bincount(cell) > 1)[0]) // len(REGIONS)
            raise DataError(f"{self.path}: event {first + again} has a region twice; mend the file")
        maps = np.zeros((len(lists), len(REGIONS)))
        maps[where, place] = et[there]
        return maps

    def _checked(self, maps: NDArray[Any], first: int) -> NDArray[Any]:
        with np.errstate(invalid="ignore"):
            bad = ~((maps >= 0) & (maps == np.floor(maps)) & (maps < np.inf))
        if bad.any():
            event, region = (int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{self.path}: {int(bad.sum())} regions are no integer from 0 on, the first is "
                f"{maps[event, region]:g} in {REGIONS[region]} of event {first + event}; counts of "
                f"{SCALES[REGION].text} are due"
            )
        return maps


@READERS.register("regions")
def open_regions(path: Path, config: DataConfig) -> Reader:
    """A reader of maps of calorimeter regions."""
    return RegionReader(path, config.classes)
