"""Sliding windows over tower maps (B, 80, 72) that close in phi: local maxima and sums."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.int32]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Seeds:
    """S towers of a map."""

    crossing: Index
    """(S,)"""
    ring: Index
    column: Index


def local_maxima(towers: Map, least: int, reach: tuple[int, int]) -> Seeds:
    """Towers of at least `least` that no other within `reach` rings and columns beats.

    Of equal towers the one at higher eta, then at higher phi, wins: a rule that depends on relative
    places alone, as in the hardware, so that a turn about the beam changes nothing.
    """
    crossing, ring, column = np.nonzero(towers >= least)
    value = towers[crossing, ring, column]
    rings, columns = towers.shape[1:]
    alive = np.ones(len(value), np.bool_)
    for step in range(-reach[0], reach[0] + 1):
        for turn in range(-reach[1], reach[1] + 1):
            if step == turn == 0:
                continue
            # only what is left needs the comparison; most towers lose at once
            at = np.flatnonzero(alive)
            other = ring[at] + step
            inside = (other >= 0) & (other < rings)
            at, other = at[inside], other[inside]
            neighbour = towers[crossing[at], other, (column[at] + turn) % columns]
            later = (step, turn) > (0, 0)
            alive[at] &= (value[at] > neighbour) if later else (value[at] >= neighbour)
    return Seeds(crossing[alive], ring[alive], column[alive])


class Sums:
    """Sums over rectangles of a map, each in constant time, from one integral image.

    Rectangles reach at most `margin` towers from a seed; beyond the last ring there is nothing.
    """

    def __init__(self, towers: Map, margin: int) -> None:
        self._margin = margin
        padded = np.pad(towers, ((0, 0), (margin, margin), (0, 0)))
        padded = np.pad(padded, ((0, 0), (0, 0), (margin, margin)), mode="wrap")
        image = np.cumsum(np.cumsum(padded, axis=1, dtype=np.int32), axis=2, dtype=np.int32)
        self._image = np.pad(image, ((0, 0), (1, 0), (1, 0)))

    def around(self, seeds: Seeds, rings: tuple[int, int], columns: tuple[int, int]) -> Index:
        """(S,): sums over offsets rings[0]..rings[1] and columns[0]..columns[1], ends included."""
        top = seeds.ring + (self._margin + rings[0])
        left = seeds.column + (self._margin + columns[0])
        bottom, right = top + (rings[1] - rings[0] + 1), left + (columns[1] - columns[0] + 1)
        b, image = seeds.crossing, self._image
        result: Index = (
            image[b, bottom, right].astype(np.int64)
            - image[b, top, right]
            - image[b, bottom, left]
            + image[b, top, left]
        )
        return result
