"""Collisions of many crossings laid over each other: towers and muons, for a whole batch at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.collisions import Pool
from triggerforge.data.generator.l1.towers import CELLS, COLUMNS, RINGS
from triggerforge.data.generator.particles import sum_by


@dataclass(frozen=True)
class Draws:
    """Collisions drawn from one pool, D of them."""

    pool: Pool
    crossing: NDArray[np.int64]
    """(D,): the crossing of the batch that each is in"""
    collision: NDArray[np.int64]
    """(D,): which of the pool"""
    turn: NDArray[np.int64]
    """(D,): towers of 5 degrees by which it is turned about the beam, 0..71"""
    mirrored: NDArray[np.bool_]
    """(D,): whether z is reflected"""


@dataclass(frozen=True)
class Overlaid:
    """B crossings."""

    et: NDArray[np.float64]
    """(B, 2, 80, 72): ET [GeV] of ECAL and HCAL towers"""
    muon_crossing: NDArray[np.int64]
    """(M,)"""
    muons: NDArray[np.float64]
    """(M, 3): true pT [GeV], eta, phi"""


def draw(
    pool: Pool, numbers: NDArray[np.int64], rng: np.random.Generator, first: int | None = None
) -> Draws:
    """`numbers` (B,) collisions of `pool` for each crossing, at random.

    With `first`, the first collision of each crossing with any is the pool's number `first`, the
    next crossing's the one after it, round and round: all are used equally often.
    """
    crossing = np.repeat(np.arange(len(numbers)), numbers)
    collision = rng.integers(0, len(pool), len(crossing))
    if first is not None:
        leading = np.flatnonzero(np.diff(crossing, prepend=-1))
        collision[leading] = (first + crossing[leading]) % len(pool)
    turn = rng.integers(0, COLUMNS, len(crossing))
    return Draws(pool, crossing, collision, turn, rng.random(len(crossing)) < 0.5)


def overlay(draws: list[Draws], crossings: int) -> Overlaid:
    """The sum of all drawn collisions in each of `crossings` crossings."""
    keys, et = zip(*map(_towers, draws), strict=True)
    owners, muons = zip(*map(_muons, draws), strict=True)
    size = crossings * 2 * CELLS
    towers = sum_by(np.concatenate(keys), np.concatenate(et), size)
    return Overlaid(
        et=towers.reshape(crossings, 2, RINGS, COLUMNS),
        muon_crossing=np.concatenate(owners),
        muons=np.concatenate(muons),
    )


def _entries(counts: NDArray[np.int32], collision: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index into a pool's flat arrays of all entries of the drawn collisions, in their order."""
    starts = np.cumsum(counts, dtype=np.int64) - counts
    lengths = counts[collision]
    before = np.cumsum(lengths, dtype=np.int64) - lengths
    within = np.arange(int(lengths.sum()), dtype=np.int64)
    result: NDArray[np.int64] = within + np.repeat(starts[collision] - before, lengths)
    return result


def _towers(drawn: Draws) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cell among those of all crossings, and ET [GeV], of every deposit."""
    stored = drawn.pool.towers
    lengths = stored.counts[drawn.collision]
    entries = _entries(stored.counts, drawn.collision)
    # one look-up table over all turns and reflections: where each cell goes
    way = np.repeat(drawn.mirrored * COLUMNS + drawn.turn, lengths)
    cell = _MOVED[way, stored.cell[entries]]
    key = np.repeat(drawn.crossing * (2 * CELLS), lengths) + cell
    return key, stored.et[entries].astype(np.float64)


def _muons(drawn: Draws) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    stored = drawn.pool.muons
    lengths = stored.counts[drawn.collision]
    entries = _entries(stored.counts, drawn.collision)
    sign = np.repeat(np.where(drawn.mirrored, -1.0, 1.0), lengths)
    turn = np.repeat(drawn.turn * (2 * np.pi / COLUMNS), lengths)
    values = [stored.pt[entries], stored.eta[entries] * sign, stored.phi[entries] + turn]
    return np.repeat(drawn.crossing, lengths), np.stack(values, axis=1).astype(np.float64)


def _moves() -> NDArray[np.uint16]:
    """(144, 11520): the cell that each cell becomes by each turn, then by each turn mirrored."""
    layer, ring, column = np.unravel_index(np.arange(2 * CELLS), (2, RINGS, COLUMNS))
    rows = []
    for rings in (ring, RINGS - 1 - ring):
        for turn in range(COLUMNS):
            rows.append(layer * CELLS + rings * COLUMNS + (column + turn) % COLUMNS)
    return np.array(rows, np.uint16)


_MOVED = _moves()
