"""Flat arrays of final-state objects: stable particles before, energy-flow candidates after."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.events import EventBatch, Generator

Array = NDArray[np.float64]

_NEUTRINOS = (12, 14, 16)
_ABS_ETA_MAX = 5.0  # the calorimeters end here


class Kind(IntEnum):
    """Class of a constituent, as written to the branch `part_class`."""

    CHARGED_HADRON = 0
    NEUTRAL_HADRON = 1
    PHOTON = 2
    ELECTRON = 3
    MUON = 4


@dataclass(frozen=True)
class Particles:
    """P objects of many events; pT and energy in GeV, angles in radians."""

    event: NDArray[np.int64]
    """(P,): which event"""
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]
    """in [-pi, pi]"""
    mass: NDArray[np.float64]
    """[GeV]"""
    charge: NDArray[np.int8]
    kind: NDArray[np.int8]
    """a `Kind`"""

    def __len__(self) -> int:
        return len(self.event)

    @property
    def energy(self) -> NDArray[np.float64]:
        """[GeV]"""
        return np.sqrt((self.pt * np.cosh(self.eta)) ** 2 + self.mass**2)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """The objects at `index`, or where it is true."""
        return type(self)(**{name: column[index] for name, column in vars(self).items()})


def sum_by(group: NDArray[np.int64], values: Array, groups: int) -> Array:
    """(groups,): sums of `values` (P,) over the entries of each group, `group` (P,)."""
    # bincount gives integers where there is nothing to sum
    return np.bincount(group, values, minlength=groups).astype(np.float64)


def concatenate(parts: list[Particles]) -> Particles:
    """All of `parts`, in the order of their events (stable)."""
    columns = {name: np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])}
    return Particles(**columns).take(np.argsort(columns["event"], kind="stable"))


def visible(batch: EventBatch, generator: Generator) -> Particles:
    """Stable particles with |eta| < 5 that a detector can see: all but neutrinos."""
    final = np.flatnonzero((batch.status > 0) & ~np.isin(np.abs(batch.pdg), _NEUTRINOS))
    px, py, pz, e = (column[final] for column in (batch.px, batch.py, batch.pz, batch.e))
    pt = np.hypot(px, py)
    inside = np.abs(pz) < pt * np.sinh(_ABS_ETA_MAX)
    final, px, py, pz, e, pt = (c[inside] for c in (final, px, py, pz, e, pt))
    pdg = batch.pdg[final]
    charge = generator.charge(pdg)
    return Particles(
        event=batch.event[final],
        pt=pt,
        eta=np.arcsinh(pz / pt),
        phi=np.arctan2(py, px),
        mass=np.sqrt(np.maximum(e**2 - pt**2 - pz**2, 0.0)),
        charge=charge,
        kind=_kind(np.abs(pdg), charge),
    )


def _kind(abs_pdg: NDArray[np.int32], charge: NDArray[np.int8]) -> NDArray[np.int8]:
    hadron = np.where(charge != 0, Kind.CHARGED_HADRON, Kind.NEUTRAL_HADRON)
    leptons_and_photons = [abs_pdg == 22, abs_pdg == 11, abs_pdg == 13]
    return np.select(
        leptons_and_photons, [Kind.PHOTON, Kind.ELECTRON, Kind.MUON], default=hadron
    ).astype(np.int8)
