"""What readers of physical Level-1 objects share: check, sort, saturate, and say so."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.l1.encode import encode
from triggerforge.data.l1.layout import INPUTS
from triggerforge.data.readers.base import Chunk, Request
from triggerforge.progress import say

SATURATED = "saturated"
"""event column: inputs of the event that lie past their hardware range"""
EVENT_COLUMNS = frozenset({*INPUTS, SATURATED})


class Objects:
    """Turns physical objects of one file into columns of hardware integers, and keeps count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events = self._unsorted = 0
        self._saturated = np.zeros(len(INPUTS), np.int64)

    def chunk(
        self,
        first: int,
        physical: NDArray[np.floating],
        request: Request,
        label: NDArray[np.int64] | None = None,
        unsorted: int = 0,
    ) -> Chunk:
        """The chunk of events (n, 19, 3): pT [GeV], eta, phi [rad], the file's from `first` on.

        `unsorted` counts events that the reader has sorted itself. Raises DataError for NaN and for
        negative pT.
        """
        encoded = encode(physical, f"{self._path}, events from {first}")
        self._events += len(physical)
        self._unsorted += encoded.unsorted + unsorted
        over = encoded.saturated.reshape(len(physical), len(INPUTS))
        self._saturated += over.sum(axis=0)
        columns = encoded.columns | {SATURATED: over.sum(axis=1)}
        return Chunk(
            first=first,
            events={name: columns[name] for name in request.events},
            label=label,
            size=len(physical),
        )

    def close(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """All of `chunks`, and then one line for what was sorted and one for what saturated."""
        yield from chunks
        if self._unsorted:
            say(
                f"{self._path}: objects of {self._unsorted} of {self._events} events did not fall "
                "in pT; they were sorted"
            )
        if self._saturated.any():
            names = [f"{INPUTS[i]} {self._saturated[i]}" for i in np.flatnonzero(self._saturated)]
            say(
                f"{self._path}: values past their hardware range were saturated, of "
                f"{self._events} events: {', '.join(names)}"
            )
