"""Constituents out of tables with a row for each place: zero where there is none.

One rule for all formats: a constituent whose energy (or pT) is negative, NaN or infinite, or zero beside
a momentum, is not dropped. All constituents of its event become NaN, so that the event is refused where
it would be learned from and gets no score; a line says how many there were.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.readers.base import Chunk
from triggerforge.progress import say

UNPHYSICAL = "unphysical"
"""derived quantity of an event: 1 where it has such a constituent"""
_SLACK = 0.01
"""by so much may |p| exceed E before it is said: what float32 and four digits in a text do is far less"""

Table = NDArray[Any]
"""(n, places)"""


class Constituents:
    """Takes the constituents of one file and keeps count of what is wrong with them.

    `marker` names the column, energy or pT, that is zero where there is no constituent.
    """

    def __init__(self, path: Path, marker: str) -> None:
        self._path, self._marker = path, marker
        self._places = self._events = self._spacelike = 0

    def take(
        self, momentum: Mapping[str, Table], wanted: Mapping[str, Table], mask: Table | None = None
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        """The `wanted` columns (m,) of all constituents, and (n,) their number in each event.

        `momentum` has the marker and whatever the file has of px, py, pz, pt, energy. `mask` tells
        where there is a constituent, in formats that do not tell by zeros.
        """
        marker = momentum[self._marker]
        others = [table != 0 for name, table in momentum.items() if name != self._marker]
        there = np.logical_or.reduce([marker != 0, *others]) if mask is None else mask
        wrong = there & ~((marker > 0) & (marker < np.inf))
        counts = there.sum(axis=1)
        columns = {name: table[there] for name, table in wanted.items()}
        bad = wrong.any(axis=1)
        if bad.any():
            self._places += int(wrong.sum())
            self._events += int(bad.sum())
            inside = np.repeat(bad, counts)
            columns = {name: np.where(inside, np.nan, column) for name, column in columns.items()}
        self._spacelike += _count_spacelike(momentum)
        return columns, counts

    def close(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """All of `chunks`, and then a line for what was wrong."""
        yield from chunks
        if self._places:
            say(
                f"{self._path}: {self._places} constituents of {self._events} events have no {self._marker}"
                " above zero (negative, NaN, infinite, or zero beside a momentum); these events count as "
                f"NaN, leave them out with data.selection: {UNPHYSICAL} == 0"
            )
        if self._spacelike:
            say(
                f"{self._path}: {self._spacelike} constituents have an energy below their momentum by "
                f"more than {_SLACK:.0%}; they are used as they are"
            )


def _count_spacelike(momentum: Mapping[str, Table]) -> int:
    if not momentum.keys() >= {"energy", "px", "py", "pz"}:
        return 0
    with np.errstate(invalid="ignore", over="ignore"):
        p2 = momentum["px"] ** 2 + momentum["py"] ** 2 + momentum["pz"] ** 2
        energy = momentum["energy"]
        return int(((energy > 0) & (energy < (1 - _SLACK) * np.sqrt(p2))).sum())
