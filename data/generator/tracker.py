"""Charged tracks: efficiency, momentum and angular resolution, bending to the calorimeter."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.cards import Array, Band, Card, by_eta
from triggerforge.data.generator.particles import Kind, Particles

_GEV_PER_TESLA_METRE = 0.299792458


@dataclass(frozen=True)
class Tracks:
    """T reconstructed tracks."""

    measured: Particles
    """as reconstructed, at the origin"""
    relative_sigma: Array
    """(T,): sigma(pT)/pT"""
    source: NDArray[np.int64]
    """(T,): index of the particle that made the track"""


def log_normal(mean: Array, sigma: Array, rng: np.random.Generator) -> Array:
    """Positive values with this mean and standard deviation, as Delphes smears; same shape."""
    width = np.sqrt(np.log1p((sigma / mean) ** 2))
    result: Array = mean * np.exp(width * rng.standard_normal(len(mean)) - width**2 / 2)
    return result


def calorimeter_phi(particles: Particles, card: Card) -> tuple[Array, NDArray[np.bool_]]:
    """phi (P,) where each particle enters the calorimeter, and whether it gets there.

    A helix of radius pT / (0.3 B) from the origin to the edge of the field; charged particles
    that curl up inside the barrel do not get there.
    """
    with np.errstate(divide="ignore"):
        at_endcap = card.half_length / np.abs(np.sinh(particles.eta))
    reach = np.minimum(card.radius, at_endcap)
    sine = _GEV_PER_TESLA_METRE * card.field * reach / (2 * particles.pt) * np.abs(particles.charge)
    bend = np.arcsin(np.minimum(sine, 1.0)) * np.sign(particles.charge)
    arrives: NDArray[np.bool_] = sine <= 1.0
    return wrap(particles.phi - bend), arrives


def wrap(phi: Array) -> Array:
    """Angles in [-pi, pi)."""
    result: Array = np.mod(phi + np.pi, 2 * np.pi) - np.pi
    return result


def reconstruct(particles: Particles, card: Card, rng: np.random.Generator) -> Tracks:
    """Tracks of the charged particles that the tracker finds."""
    source = np.flatnonzero(particles.charge != 0)
    found = rng.random(len(source)) < _efficiency(particles.take(source), card)
    source = source[found]
    true = particles.take(source)
    relative = _relative_sigma(true, card)
    measured = replace(
        true,
        pt=log_normal(true.pt, relative * true.pt, rng),
        eta=np.arcsinh(np.sinh(true.eta) + _angular_error(card.cot_theta_resolution, true.pt, rng)),
        phi=wrap(true.phi + _angular_error(card.phi_resolution, true.pt, rng)),
    )
    return Tracks(measured, relative, source)


def _efficiency(charged: Particles, card: Card) -> Array:
    arguments = charged.pt, np.abs(charged.eta)
    efficiency: Array = np.select(
        [charged.kind == Kind.ELECTRON, charged.kind == Kind.MUON],
        [card.electron_efficiency(*arguments), card.muon_efficiency(*arguments)],
        default=card.hadron_efficiency(*arguments),
    )
    return efficiency


def _relative_sigma(charged: Particles, card: Card) -> Array:
    def formula(bands: tuple[Band, ...]) -> Array:
        a, b = by_eta(bands, np.abs(charged.eta))
        relative: Array = np.hypot(a, b * charged.pt)
        return relative

    sigma: Array = np.select(
        [charged.kind == Kind.ELECTRON, charged.kind == Kind.MUON],
        [formula(card.electron_resolution), formula(card.muon_resolution)],
        default=formula(card.hadron_resolution),
    )
    return sigma


def _angular_error(coefficients: tuple[float, float], pt: Array, rng: np.random.Generator) -> Array:
    asymptotic, scale = coefficients
    error: Array = asymptotic * np.hypot(1.0, scale / pt) * rng.standard_normal(len(pt))
    return error
