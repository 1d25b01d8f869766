"""Selected events on disk until their number is known: grows by batches, read in any order."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.source import Batch
from triggerforge.data.storage import Hdf5Output, writing

_READ = 10_000
Form = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]


class Spool:
    """An HDF5 file of columns that `add` appends to, and `take` reads from.

    `add` and `close` raise OSError where the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._output = Hdf5Output(path)
        self._file = self._output.file
        self.path = path
        self.events = 0

    def add(self, batch: Batch, file: int = 0) -> None:
        """Appends the events of a batch, read from the file of that number."""
        columns: dict[str, NDArray[Any]] = {
            "raw": batch.inputs.raw,
            "label": batch.label,
            "weight": batch.weight,
            "together": np.stack([np.full(len(batch.label), file), batch.together], axis=1),
        }
        if batch.inputs.mask is not None:
            columns["mask"] = batch.inputs.mask
        columns |= {f"observables/{n}": v for n, v in batch.observables.items()}
        for name, values in columns.items():
            if name not in self._file:
                shape = values.shape[1:]
                self._file.create_dataset(
                    name,
                    shape=(0, *shape),
                    maxshape=(None, *shape),
                    dtype=values.dtype,
                    chunks=(max(1, 2**20 // max(values[:1].nbytes, 1)), *shape),
                )
            data = self._file[name]
            data.resize(self.events + len(values), axis=0)
            data[self.events :] = values
            self._output.check()
        self.events += len(batch.label)

    @property
    def observables(self) -> tuple[str, ...]:
        """Names of the observables."""
        return tuple(self._file.get("observables", ()))

    @property
    def has_mask(self) -> bool:
        """Whether the events have constituents."""
        return "mask" in self._file

    def take(self, name: str, index: NDArray[np.int64], made: Form | None = None) -> NDArray[Any]:
        """Rows `index` (k,) of a column in that order; the column passes by piece by piece.

        `made` takes some rows (n, …) and their places (n,) in the result, and gives what is kept of them.
        """
        taken: NDArray[Any] | None = None
        order = np.argsort(index)
        rising = index[order]
        for first, piece in self._pieces(self._file[name]):
            low, high = np.searchsorted(rising, [first, first + len(piece)])
            rows, places = piece[rising[low:high] - first], order[low:high]
            rows = rows if made is None else made(rows, places)
            if taken is None:
                taken = np.empty((len(index), *rows.shape[1:]), rows.dtype)
            taken[places] = rows
        assert taken is not None, "a spool without events is not read"
        return taken

    def _pieces(self, data: h5py.Dataset) -> Iterator[tuple[int, NDArray[Any]]]:
        for first in range(0, self.events, _READ):
            yield first, data[first : first + _READ]

    def close(self) -> None:
        """Closes and removes the file."""
        self.path.unlink(missing_ok=True)  # nobody needs what a full disk has no room for
        with writing(self.path):
            self._output.close(kept=False)
