"""Calorimeter towers and the energy-flow rule, for all events of a batch at once.

The rule is that of Delphes' module SimpleCalorimeter (JHEP 02 (2014) 057): in each tower the
energy above that of its tracks, if significant, is a neutral candidate; if it is not, the tracks
are scaled to the best estimate of tracks and tower together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.cards import Array, Calorimeter
from triggerforge.data.generator.particles import sum_by
from triggerforge.data.generator.tracker import log_normal


@dataclass(frozen=True)
class Deposits:
    """H entries of energy, or of track momentum, at places of a calorimeter's surface."""

    event: NDArray[np.int64]
    eta: Array
    phi: Array
    energy: Array
    """[GeV]"""


@dataclass(frozen=True)
class Neutrals:
    """K neutral candidates, massless."""

    event: NDArray[np.int64]
    energy: Array
    """[GeV]"""
    eta: Array
    phi: Array


class TowerGrid:
    """Towers of a calorimeter, numbered."""

    def __init__(self, calorimeter: Calorimeter) -> None:
        self._edges = np.array(calorimeter.eta_edges)
        # one entry more, so that a place beyond the last edge finds a row and no tower
        self._phi_bins = np.array([*calorimeter.phi_bins, 1])
        self._most = int(self._phi_bins.max())
        self._size = len(self._phi_bins) * self._most

    def keys(self, event: NDArray[np.int64], eta: Array, phi: Array) -> NDArray[np.int64]:
        """(H,): a number for each event's tower; -1 outside the calorimeter."""
        row = np.searchsorted(self._edges, eta, side="right") - 1
        outside = (row < 0) | (row >= len(self._edges) - 1)
        bins = self._phi_bins[row]
        column = np.minimum(((phi + np.pi) / (2 * np.pi) * bins).astype(np.int64), bins - 1)
        return np.where(outside, -1, event * self._size + row * self._most + column)

    def place(
        self, keys: NDArray[np.int64], rng: np.random.Generator | None
    ) -> tuple[NDArray[np.int64], Array, Array]:
        """Event, eta and phi (T,) of towers: a uniform place in each, or its centre without rng."""
        event, cell = np.divmod(keys, self._size)
        row, column = np.divmod(cell, self._most)
        across = rng.random((2, len(keys))) if rng else np.full((2, len(keys)), 0.5)
        low, high = self._edges[row], self._edges[np.minimum(row + 1, len(self._edges) - 1)]
        phi = (column + across[1]) / self._phi_bins[row] * 2 * np.pi - np.pi
        return event, low + across[0] * (high - low), phi


def energy_flow(
    calorimeter: Calorimeter,
    hits: Deposits,
    tracks: Deposits,
    track_sigma: Array,
    rng: np.random.Generator,
) -> tuple[Neutrals, Array]:
    """Neutral candidates, and the factor (T,) by which to scale the momentum of each track.

    `tracks` (T,) are those that should deposit here, with energies as measured by the tracker
    and absolute errors `track_sigma` (T,) [GeV].
    """
    grid = TowerGrid(calorimeter)
    hit_keys = grid.keys(hits.event, hits.eta, hits.phi)
    track_keys = grid.keys(tracks.event, tracks.eta, tracks.phi)
    keys, inverse = np.unique(np.concatenate([hit_keys, track_keys]), return_inverse=True)
    hit_tower, track_tower = inverse[: len(hit_keys)], inverse[len(hit_keys) :]
    towers = len(keys)
    true = sum_by(hit_tower, hits.energy, towers)
    true[keys < 0] = 0.0

    event, eta, phi = grid.place(keys, rng)
    _, centre, _ = grid.place(keys, None)
    energy, sigma = _measure(calorimeter, true, centre, rng)

    charged = sum_by(track_tower, tracks.energy, towers)
    charged_sigma = np.sqrt(sum_by(track_tower, track_sigma**2, towers))
    excess = np.maximum(energy - charged, 0.0)
    significant = (excess > calorimeter.energy_min) & (
        excess > calorimeter.significance_min * np.hypot(sigma, charged_sigma)
    )
    neutrals = Neutrals(event[significant], excess[significant], eta[significant], phi[significant])
    best = _weighted_mean(charged, charged_sigma, energy, sigma)
    scaled = ~significant & (charged > 0) & (keys >= 0)
    factor = np.divide(best, charged, out=np.ones(towers), where=scaled)
    return neutrals, factor[track_tower]


def _measure(
    calorimeter: Calorimeter, true: Array, eta: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Smeared tower energies after the thresholds, and their errors [GeV]."""
    lit = true > 0
    energy = np.zeros(len(true))
    energy[lit] = log_normal(true[lit], calorimeter.sigma(true[lit], eta[lit]), rng)
    sigma = calorimeter.sigma(energy, eta)
    quiet = (energy < calorimeter.energy_min) | (energy < calorimeter.significance_min * sigma)
    energy[quiet] = 0.0
    return energy, sigma


def _weighted_mean(a: Array, a_sigma: Array, b: Array, b_sigma: Array) -> Array:
    """Mean weighted by 1/sigma^2; `a` where `b` has no error of its own (an empty tower)."""
    total = a_sigma**2 + b_sigma**2
    weight_b = np.divide(a_sigma**2, total, out=np.zeros(len(a)), where=b_sigma > 0)
    return a + weight_b * (b - a)
