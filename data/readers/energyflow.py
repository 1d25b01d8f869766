"""The EnergyFlow quark/gluon set (Komiske, Metodiev, Thaler; Zenodo 3164691), in two forms.

As published, an .npz: X (N, M, 4) with pT [GeV], rapidity, phi, PDG id of each particle, zero rows
where there is none; y (N,), 1: quark, 0: gluon. And as four .npy files: <set>_pf_vectors (N, 4, M)
with px, py, pz, E [GeV], <set>_pf_mask (N, 1, M), <set>_pf_points (not read), <set>_labels (N,).
There the padding repeats particles: only the mask tells. Name the vectors file as the source.
"""

from collections.abc import Callable, Iterator
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
from triggerforge.errors import DataError

_VECTORS = "_pf_vectors.npy"
Columns = Callable[[NDArray[Any], NDArray[Any] | None], dict[str, NDArray[Any]]]


class EnergyFlowReader:
    """Reads one file of the set; see the module's docstring for the layouts."""

    format = "energyflow"
    aliases: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ("gluon", "quark")
    labelled = True
    event_columns: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, "EnergyFlow npz or npy"):
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
        first = 0
        with reading(self.path, "EnergyFlow npz or npy"):
            masks = None if self._mask is None else self._mask.rows(size)
            tables = self._particles.rows(size)
            for labels in self._labels.rows(size):
                columns = np.moveaxis(next(tables), self._axis, -1)
                there = columns[:, :, 0] > 0 if masks is None else next(masks)[:, 0] > 0
                yield Chunk(
                    first=first,
                    events={},
                    particles={
                        n: columns[:, :, self._names.index(n)][there] for n in request.particles
                    },
                    counts=there.sum(axis=1),
                    label=from_numbers(self.path, labels, len(self.classes), first)
                    if request.label
                    else None,
                    size=len(labels),
                )
                first += len(labels)
                del columns, there  # or they would stay while the next ones are read


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
    """A reader of the EnergyFlow quark/gluon set."""
    return EnergyFlowReader(path)
