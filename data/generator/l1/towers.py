"""Trigger towers: 80 rings in eta, 72 in phi, and what particles leave in them.

Rings are CMS' towers |ieta| = 1..28 (0.087 wide up to 1.74, then wider, to 3) and the 12 rings of the
forward calorimeter, 30..41 (CMS TDR, CERN-LHCC-2006-001; JINST 15 (2020) P10017). Forward towers are
10 degrees wide: their energy is shared by two columns when the towers are digitised.

Energy resolution is the Delphes CMS card's without its noise term (electronic noise of a tower falls
under the threshold). Assumed: 40 % of hadrons leave 0.3 GeV in the ECAL and the rest in the HCAL, the
others a uniform part of up to 0.9 in the ECAL.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.cards import CARDS, Array, Band, Calorimeter
from triggerforge.data.generator.particles import Kind, Particles, sum_by
from triggerforge.data.generator.tracker import calorimeter_phi, log_normal

_CENTRAL = (
    *(round(0.087 * i, 3) for i in range(1, 21)),
    *(1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 3.0),
)
_FORWARD = (3.139, 3.314, 3.489, 3.664, 3.839, 4.013, 4.191, 4.363, 4.538, 4.716, 4.889, 5.191)
_SIDE = (*_CENTRAL, *_FORWARD)
ETA_EDGES = np.array([-e for e in reversed(_SIDE)] + [0.0, *_SIDE])
"""(81,)"""
ETA_CENTRES = (ETA_EDGES[:-1] + ETA_EDGES[1:]) / 2
"""(80,)"""
RINGS, COLUMNS = len(ETA_CENTRES), 72
CENTRAL = slice(len(_FORWARD), RINGS - len(_FORWARD))
"""the rings with |eta| < 3"""
CELLS = RINGS * COLUMNS
PHI_CENTRES = (np.arange(COLUMNS) + 0.5) * (2 * np.pi / COLUMNS)
"""(72,) in 0..2 pi"""

_CARD = CARDS["CMS"]
_MIP_PART, _MIP_ENERGY, _ECAL_PART = 0.4, 0.3, 0.9


@dataclass(frozen=True)
class Deposits:
    """Lit cells of C collisions: those of collision 0, then those of 1, …"""

    counts: NDArray[np.int32]
    """(C,)"""
    cell: NDArray[np.uint16]
    """(D,): layer (0 ECAL, 1 HCAL) x 5760 + ring x 72 + column"""
    et: NDArray[np.float32]
    """(D,) [GeV]"""


def _without_noise(calorimeter: Calorimeter) -> Calorimeter:
    bands = (Band(b.abs_eta_max, (*b.values[:2], 0.0)) for b in calorimeter.resolution)
    return replace(calorimeter, resolution=tuple(bands))


_LAYERS = (_without_noise(_CARD.ecal), _without_noise(_CARD.hcal))


def deposit(particles: Particles, collisions: int, rng: np.random.Generator) -> Deposits:
    """What the particles of `collisions` collisions leave in the towers, smeared."""
    phi, arrives = calorimeter_phi(particles, _CARD)
    there = np.flatnonzero(arrives & (particles.kind != Kind.MUON))
    kept = particles.take(there)
    ring = np.searchsorted(ETA_EDGES, kept.eta, side="right") - 1
    column = np.floor(np.mod(phi[there], 2 * np.pi) * (COLUMNS / (2 * np.pi))).astype(np.int64)
    cell = ring * COLUMNS + np.minimum(column, COLUMNS - 1)
    ecal = _ecal_energy(kept, rng)
    energy = np.concatenate([ecal, kept.energy - ecal])
    key = kept.event * (2 * CELLS) + cell
    key = np.concatenate([key, key + CELLS])
    transverse = energy / np.cosh(np.tile(kept.eta, 2))
    lit = energy > 0
    return _summed(key[lit], energy[lit], transverse[lit], collisions, rng)


def _ecal_energy(particles: Particles, rng: np.random.Generator) -> Array:
    """(P,) [GeV]: all of photons and electrons, a part of hadrons."""
    energy = particles.energy
    interacts = rng.random(len(energy)) >= _MIP_PART
    part = rng.random(len(energy)) * _ECAL_PART * energy
    hadron = np.where(interacts, part, np.minimum(energy, _MIP_ENERGY))
    electromagnetic = np.isin(particles.kind, (Kind.PHOTON, Kind.ELECTRON))
    return np.where(electromagnetic, energy, hadron)


def _summed(
    key: NDArray[np.int64],
    energy: Array,
    transverse: Array,
    collisions: int,
    rng: np.random.Generator,
) -> Deposits:
    lit, inverse = np.unique(key, return_inverse=True)
    true = sum_by(inverse, energy, len(lit))
    et = sum_by(inverse, transverse, len(lit))
    event, cell = np.divmod(lit, 2 * CELLS)
    layer, tower = np.divmod(cell, CELLS)
    eta = ETA_CENTRES[tower // COLUMNS]
    sigma = np.where(layer == 0, *(c.sigma(true, eta) for c in _LAYERS))
    # beyond the card's last band sigma is 0, and the energy stays as it is
    factor = np.ones(len(lit))
    smeared = sigma > 0
    factor[smeared] = log_normal(true[smeared], sigma[smeared], rng) / true[smeared]
    return Deposits(
        counts=np.bincount(event, minlength=collisions).astype(np.int32),
        cell=cell.astype(np.uint16),
        et=(et * factor).astype(np.float32),
    )
