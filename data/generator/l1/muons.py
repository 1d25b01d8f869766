"""Muons at Level-1: prompt ones and those of pions and kaons that decay before the calorimeter.

Assumed, of the size that JINST 15 (2020) P10017 shows: efficiency 0.95 above 3 GeV (0.90 in the
overlap of barrel and endcap), resolution in 1/pT of 20, 24 and 26 % in barrel, overlap and endcap, and
twice that for 3 % of the muons. The scale is raised by 1 + 1.28 sigma, so that a threshold is at
90 % of the plateau of its turn-on, as the track finders' scale is set. No charge, no ghosts, no
punch-through.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.cards import CARDS, Array
from triggerforge.data.generator.particles import Kind, Particles

ABS_ETA_MAX = 2.45
_PT_MIN = 3.0  # of a muon that gets through the calorimeter and the coil [GeV]
_MUON_MASS = 0.10566
# mass [GeV], c tau [m] and branching fraction to a muon and a neutrino (PDG)
_DECAYING = ((0.13957, 7.804, 0.9999), (0.49368, 3.711, 0.6356))
_MASS_TOLERANCE = 0.003

_BARREL, _OVERLAP = 0.83, 1.24
_EFFICIENCY = (0.95, 0.90, 0.95)
_RELATIVE_SIGMA = (0.20, 0.24, 0.26)
_TAIL_PART, _TAIL_FACTOR = 0.03, 2.0
_LEAST_CURVATURE = 0.2  # of the true one: what a track finder still tells from a straight line
_NINETY_PERCENT = 1.2816
_ETA_SIGMA, _PHI_SIGMA = 0.02, 0.02


@dataclass(frozen=True)
class Muons:
    """True muons of C collisions: those of collision 0, then those of 1, …"""

    counts: NDArray[np.int32]
    """(C,)"""
    pt: NDArray[np.float32]
    """(M,) [GeV]"""
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]


def find_muons(particles: Particles, collisions: int, rng: np.random.Generator) -> Muons:
    """Muons above 3 GeV and |eta| < 2.45 of `collisions` collisions."""
    pt = np.where(particles.kind == Kind.MUON, particles.pt, 0.0)
    for mass, c_tau, fraction in _DECAYING:
        mesons = (particles.kind == Kind.CHARGED_HADRON) & (particles.pt > _PT_MIN)
        mesons &= np.abs(particles.mass - mass) < _MASS_TOLERANCE
        pt[mesons] = _decayed(particles.take(mesons), mass, c_tau, fraction, rng)
    found = (pt > _PT_MIN) & (np.abs(particles.eta) < ABS_ETA_MAX)
    return Muons(
        counts=np.bincount(particles.event[found], minlength=collisions).astype(np.int32),
        pt=pt[found].astype(np.float32),
        eta=particles.eta[found].astype(np.float32),
        phi=particles.phi[found].astype(np.float32),
    )


def _decayed(
    mesons: Particles, mass: float, c_tau: float, fraction: float, rng: np.random.Generator
) -> Array:
    """(P,) [GeV]: pT of the decay's muon, 0 for mesons that do not decay in the tracker.

    In flight the muon takes a uniform part of the momentum, from (m_mu / m)^2 to 1.
    """
    card = CARDS["CMS"]
    with np.errstate(divide="ignore"):
        reach = np.minimum(card.radius, card.half_length / np.abs(np.sinh(mesons.eta)))
    decays = rng.random(len(mesons)) < fraction * -np.expm1(-reach * mass / (mesons.pt * c_tau))
    part = rng.uniform((_MUON_MASS / mass) ** 2, 1.0, len(mesons))
    return np.where(decays, part * mesons.pt, 0.0)


def measured(
    pt: Array, eta: Array, phi: Array, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(M, 3): pT [GeV], eta, phi as the track finders give them, and (M,) which ones are found."""
    region = np.searchsorted([_BARREL, _OVERLAP], np.abs(eta))
    found = rng.random(len(pt)) < np.array(_EFFICIENCY)[region]
    sigma = np.array(_RELATIVE_SIGMA)[region]
    scale = 1 + _NINETY_PERCENT * sigma
    sigma = sigma * np.where(rng.random(len(pt)) < _TAIL_PART, _TAIL_FACTOR, 1.0)
    curvature = np.maximum(np.abs(1 + sigma * rng.standard_normal(len(pt))), _LEAST_CURVATURE)
    spread = rng.standard_normal((2, len(pt)))
    result = np.stack(
        [pt * scale / curvature, eta + _ETA_SIGMA * spread[0], phi + _PHI_SIGMA * spread[1]], axis=1
    )
    return result, found
