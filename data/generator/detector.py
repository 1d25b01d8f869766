"""The detector: stable particles in, energy-flow candidates out."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.calorimeter import Deposits, Neutrals, energy_flow
from triggerforge.data.generator.cards import Array, Card
from triggerforge.data.generator.particles import Kind, Particles, concatenate
from triggerforge.data.generator.tracker import Tracks, calorimeter_phi, reconstruct

Mask = NDArray[np.bool_]

_ECAL_KINDS = (Kind.PHOTON, Kind.ELECTRON)
_HCAL_KINDS = (Kind.CHARGED_HADRON, Kind.NEUTRAL_HADRON)


def respond(particles: Particles, card: Card, rng: np.random.Generator) -> Particles:
    """Energy-flow candidates: tracks, photons from the ECAL, neutral hadrons from the HCAL.

    Electrons and photons leave their energy in the ECAL, hadrons in the HCAL, muons in neither.
    """
    tracks = reconstruct(particles, card, rng)
    phi, arrives = calorimeter_phi(particles, card)
    scale = np.ones(len(tracks.source))
    neutrals = []
    for calorimeter, kinds, kind in (
        (card.ecal, _ECAL_KINDS, Kind.PHOTON),
        (card.hcal, _HCAL_KINDS, Kind.NEUTRAL_HADRON),
    ):
        hits = arrives & np.isin(particles.kind, kinds)
        here = hits[tracks.source]
        found, factor = energy_flow(
            calorimeter,
            hits=_deposits(particles, phi, particles.energy, hits),
            tracks=_track_deposits(particles, phi, tracks, here),
            track_sigma=(tracks.relative_sigma * tracks.measured.energy)[here],
            rng=rng,
        )
        scale[here] = factor
        neutrals.append(_candidates(found, kind))
    charged = replace(tracks.measured, pt=tracks.measured.pt * scale)
    return concatenate([charged, *neutrals])


def _deposits(particles: Particles, phi: Array, energy: Array, where: Mask) -> Deposits:
    return Deposits(particles.event[where], particles.eta[where], phi[where], energy[where])


def _track_deposits(particles: Particles, phi: Array, tracks: Tracks, here: Mask) -> Deposits:
    """Momenta as the tracker measured them, in the towers that the particles hit."""
    source = tracks.source[here]
    return Deposits(
        event=particles.event[source],
        eta=particles.eta[source],
        phi=phi[source],
        energy=tracks.measured.energy[here],
    )


def _candidates(neutrals: Neutrals, kind: Kind) -> Particles:
    count = len(neutrals.event)
    return Particles(
        event=neutrals.event,
        pt=neutrals.energy / np.cosh(neutrals.eta),
        eta=neutrals.eta,
        phi=neutrals.phi,
        mass=np.zeros(count),
        charge=np.zeros(count, dtype=np.int8),
        kind=np.full(count, kind, dtype=np.int8),
    )
