"""Anti-kT jets of a batch of events, in the recipe's window and matched to their parents."""

from dataclasses import dataclass

import awkward as ak
import fastjet
import fastjet._swig
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.cards import Array
from triggerforge.data.generator.particles import Particles, sum_by
from triggerforge.data.generator.tracker import wrap
from triggerforge.data.generator.truth import Directions

# FastJet's banner, once a process; docs/generator.md has the citation that it asks for
fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)


@dataclass(frozen=True)
class Jets:
    """J jets; constituents are those of all jets in a row, by falling pT in each jet."""

    event: NDArray[np.int64]
    """(J,)"""
    pt: Array
    """(J,) [GeV]"""
    eta: Array
    phi: Array
    mass: Array
    """(J,) [GeV]"""
    energy: Array
    """(J,) [GeV]"""
    counts: NDArray[np.int64]
    """(J,): constituents of each jet"""
    constituents: Particles
    """sum(counts) objects; their `event` is the index of the jet"""

    def take(self, keep: NDArray[np.bool_]) -> "Jets":
        """The jets where `keep` (J,) is true."""
        parts = self.constituents.take(np.repeat(keep, self.counts))
        counts = self.counts[keep]
        columns = {
            n: getattr(self, n)[keep] for n in ("event", "pt", "eta", "phi", "mass", "energy")
        }
        return Jets(**columns, counts=counts, constituents=_renumbered(parts, counts))

    def leading(self, most: int) -> "Jets":
        """The same jets with at most their `most` leading constituents."""
        starts = np.cumsum(self.counts) - self.counts
        rank = np.arange(len(self.constituents)) - np.repeat(starts, self.counts)
        columns = {n: getattr(self, n) for n in ("event", "pt", "eta", "phi", "mass", "energy")}
        counts = np.minimum(self.counts, most)
        return Jets(**columns, counts=counts, constituents=self.constituents.take(rank < most))


def _renumbered(parts: Particles, counts: NDArray[np.int64]) -> Particles:
    columns = vars(parts) | {"event": np.repeat(np.arange(len(counts)), counts)}
    return Particles(**columns)


def four_vectors(particles: Particles, counts: NDArray[np.int64]) -> ak.Array:
    """Jagged px, py, pz, E [GeV], `counts` objects an entry, as FastJet wants them."""
    flat = ak.zip(
        {
            "px": particles.pt * np.cos(particles.phi),
            "py": particles.pt * np.sin(particles.phi),
            "pz": particles.pt * np.sinh(particles.eta),
            "E": particles.energy,
        },
        with_name="Momentum4D",
    )
    return ak.unflatten(flat, counts)


def cluster(particles: Particles, events: int, radius: float, pt_min: float) -> Jets:
    """Anti-kT jets above `pt_min` [GeV] of `events` events (E scheme, FastJet)."""
    counts = np.bincount(particles.event, minlength=events)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    sequence = fastjet.ClusterSequence(four_vectors(particles, counts), definition)
    local = sequence.constituent_index(min_pt=pt_min)
    jet_event = np.repeat(np.arange(events), ak.to_numpy(ak.num(local, axis=1)))
    members = ak.flatten(local, axis=1)
    sizes = ak.to_numpy(ak.num(members, axis=1)).astype(np.int64)
    starts = np.cumsum(counts) - counts
    index = ak.to_numpy(ak.flatten(members)) + np.repeat(starts[jet_event], sizes)
    return _assemble(jet_event, particles.take(index.astype(np.int64)), sizes)


def _assemble(event: NDArray[np.int64], parts: Particles, counts: NDArray[np.int64]) -> Jets:
    jet = np.repeat(np.arange(len(counts)), counts)
    parts = parts.take(np.lexsort((-parts.pt, jet)))

    def total(values: Array) -> Array:
        return sum_by(jet, values, len(counts))

    px, py = total(parts.pt * np.cos(parts.phi)), total(parts.pt * np.sin(parts.phi))
    pz, energy = total(parts.pt * np.sinh(parts.eta)), total(parts.energy)
    pt = np.hypot(px, py)
    return Jets(
        event=event,
        pt=pt,
        eta=np.arcsinh(pz / pt),
        phi=np.arctan2(py, px),
        mass=np.sqrt(np.maximum(energy**2 - pt**2 - pz**2, 0.0)),
        energy=energy,
        counts=counts,
        constituents=_renumbered(parts, counts),
    )


def in_window(jets: Jets, pt: tuple[float, float], abs_eta_max: float) -> NDArray[np.bool_]:
    """(J,): which jets lie in the window of pT [GeV] and |eta|."""
    inside: NDArray[np.bool_] = (jets.pt >= pt[0]) & (jets.pt < pt[1])
    return inside & (np.abs(jets.eta) < abs_eta_max)


def matched(jets: Jets, parents: Directions, radius: float) -> NDArray[np.bool_]:
    """(J,): which jets are the nearest to a parent, within `radius`, all its quarks contained.

    The quarks count where `parents.decay` is given.
    """
    match = np.zeros(len(jets.pt), dtype=bool)
    for first in range(int(_most_per_event(parents.event))):
        match |= _matched_to(jets, parents, first, radius)
    return match


def _most_per_event(event: NDArray[np.int64]) -> int:
    return int(np.bincount(event).max(initial=0)) if len(event) else 0


def _matched_to(jets: Jets, parents: Directions, nth: int, radius: float) -> NDArray[np.bool_]:
    """Jets that the nth parent of their event matches."""
    index = np.searchsorted(parents.event, jets.event) + nth
    index_safe = np.minimum(index, len(parents.event) - 1)
    there = (index < len(parents.event)) & (parents.event[index_safe] == jets.event)
    match: NDArray[np.bool_] = there & (
        _distance(jets, parents.eta[index_safe], parents.phi[index_safe]) < radius
    )
    if parents.decay is not None:
        for quark in range(parents.decay.shape[1]):
            eta, phi = parents.decay[index_safe, quark].T
            match &= _distance(jets, eta, phi) < radius
    return match


def _distance(jets: Jets, eta: Array, phi: Array) -> Array:
    distance: Array = np.hypot(jets.eta - eta, wrap(jets.phi - phi))
    return distance
