"""The EnergyFlow quark/gluon set (Komiske, Metodiev, Thaler; Zenodo 3164691), in two forms.

As published, an .npz: X (N, M, 4) with pT [GeV], rapidity, phi, PDG id of each particle, zero rows
where there is none; y (N,), 1: quark, 0: gluon. And as four .npy files: <set>_pf_vectors (N, 4, M)
with px, py, pz, E [GeV], <set>_pf_mask (N, 1, M), <set>_pf_points (not read), <set>_labels (N,).
There the padding repeats particles: only the mask tells. Name the vectors file as the source.

Neither form says what its labels mean. The published .npz are known by their name, QG_jets…; others
have the same layout (top taggers use the second), so that data.classes has to name the classes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    check_file,
    from_numbers,
    reading,
)
from triggerforge.data.readers.numpyfile import ArrayFile
from triggerforge.data.readers.padded import Constituents
from triggerforge.errors import DataError

LAYOUT = "EnergyFlow npz or npy"
_VECTORS = "_pf_vectors.npy"
_PUBLISHED = "QG_jets"
_MANY = 2**31
"""classes at most, where their number is not known"""
_CLASSES = ("gluon", "quark")
_NO_MOMENTUM = ("rapidity", "phi", "pdgid")


class EnergyFlowReader:
    """Reads one file of the set; see the module's docstring for the layouts.

    `classes` are the names of its labels 0, 1, …; empty where nobody knows them.
    """

    format = "energyflow"
    aliases: frozenset[str] = frozenset()
    labelled = True
    event_columns: frozenset[str] = frozenset()

    def __init__(self, path: Path, classes: tuple[str, ...]) -> None:
        self.path = path
        self.classes = classes
        with reading(path, LAYOUT):
            if path.suffix == ".npz":
                self._particles, self._mask = ArrayFile(path, "X"), None
                self._labels = ArrayFile(path, "y")
                self._axis, names = 2, ("pt", "rapidity", "phi", "pdgid")
            else:
                self._particles, self._mask, self._labels = _quadruple(path)
                self._axis, names = 1, ("px", "py", "pz", "energy")
            self._check()
        self._names = names
        self.entries = int(self._labels.shape[0])
        self.particle_columns = frozenset(names)

    def _check(self) -> None:
        shape = self._particles.shape
        if len(shape) != 3 or shape[self._axis] != 4:
            raise DataError(f"{self.path}: particles of shape {shape}; 4 numbers each are due")
        slots = shape[3 - self._axis]
        if self._mask is not None and self._mask.shape != (shape[0], 1, slots):
            raise DataError(
                f"{self._mask.path}: shape {self._mask.shape}, not {(shape[0], 1, slots)}"
            )
        if self._labels.shape != (shape[0],):
            raise DataError(
                f"{self._labels.path}: labels of shape {self._labels.shape} for {shape[0]} jets"
            )

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        constituents = Constituents(self.path, self._names[0] if self._mask is None else "energy")
        yield from constituents.close(self._chunks(request, size, constituents))

    def _chunks(self, request: Request, size: int, constituents: Constituents) -> Iterator[Chunk]:
        first = 0
        with reading(self.path, LAYOUT):
            masks = None if self._mask is None else self._mask.rows(size)
            tables = self._particles.rows(size)
            for labels in self._labels.rows(size):
                table = np.moveaxis(next(tables), self._axis, -1)
                columns = {name: table[:, :, i] for i, name in enumerate(self._names)}
                momentum = {n: v for n, v in columns.items() if n not in _NO_MOMENTUM}
                wanted = {name: columns[name] for name in request.particles}
                mask = None if masks is None else self._flags(next(masks)[:, 0], first)
                particles, counts = constituents.take(momentum, wanted, mask)
                yield Chunk(
                    first=first,
                    events={},
                    particles=particles,
                    counts=counts,
                    label=from_numbers(self.path, labels, len(self.classes) or _MANY, first)
                    if request.label
                    else None,
                    size=len(labels),
                )
                first += len(labels)
                del table, columns, momentum, wanted  # or they would stay while the next are read

    def _flags(self, mask: NDArray[Any], first: int) -> NDArray[np.bool_]:
        bad = (mask != 0) & (mask != 1)
        if bad.any():
            event, place = (int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{self.path}, its mask: {int(bad.sum())} entries are neither 0 nor 1, the first is "
                f"{mask[event, place]:g} in event {first + event}; mend the file"
            )
        return np.asarray(mask == 1)


def _quadruple(path: Path) -> tuple[ArrayFile, ArrayFile, ArrayFile]:
    if not path.name.endswith(_VECTORS):
        raise DataError(f"{path}: name the file <set>{_VECTORS} (or an .npz) as the source")
    stem = path.name.removesuffix(_VECTORS)
    mask, labels = (path.with_name(stem + end) for end in ("_pf_mask.npy", "_labels.npy"))
    check_file(mask)
    check_file(labels)
    return ArrayFile(path), ArrayFile(mask), ArrayFile(labels)


@READERS.register("energyflow")
def open_energyflow(path: Path, config: DataConfig) -> Reader:
    """A reader of the EnergyFlow quark/gluon set, or of a set in its layout."""
    published = path.suffix == ".npz" and path.name.startswith(_PUBLISHED)
    return EnergyFlowReader(path, _CLASSES if published else config.classes)
