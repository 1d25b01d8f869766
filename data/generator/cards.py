"""Detector parameters: the numbers of Delphes' CMS and ATLAS cards, and nothing else.

Source: github.com/delphes/delphes, cards/delphes_card_CMS.tcl and cards/delphes_card_ATLAS.tcl
(JHEP 02 (2014) 057), and the references in them. Angular resolutions of tracks are not in those
cards; they are the ATLAS inner detector's, JINST 3 (2008) S08003, table of track parameters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """A range of |eta| with its coefficients; a band ends at `abs_eta_max`."""

    abs_eta_max: float
    values: tuple[float, ...]


def by_eta(bands: tuple[Band, ...], abs_eta: Array) -> Array:
    """(values, P): coefficients of the band that each |eta| (P,) lies in; 0 beyond the last."""
    edges = [band.abs_eta_max for band in bands]
    table = np.array([*(band.values for band in bands), (0.0,) * len(bands[0].values)])
    found: Array = table[np.searchsorted(edges, abs_eta)].T
    return found


@dataclass(frozen=True)
class Efficiency:
    """Tracking efficiency in steps of pT, for bands of |eta|."""

    pt_edges: tuple[float, ...]
    """[GeV]; below the first the efficiency is 0"""
    bands: tuple[Band, ...]
    """one value for each step"""

    def __call__(self, pt: Array, abs_eta: Array) -> Array:
        """Efficiency (P,) at pT [GeV] (P,) and |eta| (P,)."""
        step = np.searchsorted(self.pt_edges, pt)
        steps = np.vstack([np.zeros(len(pt)), by_eta(self.bands, abs_eta)])
        found: Array = steps[step, np.arange(len(pt))]
        return found


@dataclass(frozen=True)
class Calorimeter:
    """Towers, resolution and thresholds of one calorimeter."""

    eta_edges: tuple[float, ...]
    phi_bins: tuple[int, ...]
    """towers around, for each interval of `eta_edges`"""
    resolution: tuple[Band, ...]
    """sigma(E) = sqrt(constant^2 E^2 + stochastic^2 E + noise^2) [GeV]: these three"""
    scale: tuple[Band, ...] = (Band(99.0, (1.0, 0.0, 0.0)),)
    """sigma is multiplied by a + b (|eta| - c)^2: these three"""
    energy_min: float = 0.5
    """threshold of a tower and of its neutral excess [GeV]"""
    significance_min: float = 2.0
    """threshold in units of sigma"""

    def sigma(self, energy: Array, eta: Array) -> Array:
        """sigma(E) [GeV] for energies [GeV] and tower centres, any equal shapes."""
        constant, stochastic, noise = by_eta(self.resolution, np.abs(eta))
        a, b, c = by_eta(self.scale, np.abs(eta))
        spread = (constant * energy) ** 2 + stochastic**2 * energy + noise**2
        result: Array = (a + b * (np.abs(eta) - c) ** 2) * np.sqrt(spread)
        return result


@dataclass(frozen=True)
class Card:
    """One detector."""

    radius: float
    """of the magnetic field [m]"""
    half_length: float
    """[m]"""
    field: float
    """[T]"""
    hadron_efficiency: Efficiency
    electron_efficiency: Efficiency
    muon_efficiency: Efficiency
    hadron_resolution: tuple[Band, ...]
    """sigma(pT)/pT = sqrt(a^2 + (b pT)^2): a and b [1/GeV]"""
    electron_resolution: tuple[Band, ...]
    muon_resolution: tuple[Band, ...]
    ecal: Calorimeter
    hcal: Calorimeter
    phi_resolution: tuple[float, float] = (7.0e-5, 39.0)
    """sigma = a (1 + b/pT), added in quadrature: a [rad], b [GeV]"""
    cot_theta_resolution: tuple[float, float] = (7.0e-4, 5.0)
    """the same for cot(theta) = sinh(eta)"""


def _symmetric(edges: list[float]) -> list[float]:
    return [-e for e in reversed(edges) if e > 0] + edges


def _grid(
    *parts: tuple[list[float], int],
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges and bins in phi from (edges of eta >= 0, bins in phi), mirrored to eta < 0."""
    edges: list[float] = [0.0]
    bins: list[int] = []
    for upper_edges, phi_bins in parts:
        edges += upper_edges
        bins += [phi_bins] * len(upper_edges)
    return tuple(_symmetric(edges)), (*reversed(bins), *bins)


_HADRONS = Efficiency((0.1, 1.0), (Band(1.5, (0.70, 0.95)), Band(2.5, (0.60, 0.85))))
_ELECTRONS = Efficiency(
    (0.1, 1.0, 100.0), (Band(1.5, (0.73, 0.95, 0.99)), Band(2.5, (0.50, 0.83, 0.90)))
)
_MUONS = Efficiency((0.1, 1.0), (Band(1.5, (0.75, 0.99)), Band(2.5, (0.70, 0.98))))
_ELECTRON_PT = (Band(0.5, (0.03, 1.3e-3)), Band(1.5, (0.05, 1.7e-3)), Band(2.5, (0.15, 3.1e-3)))
_MUON_PT = (Band(0.5, (0.01, 1.0e-4)), Band(1.5, (0.015, 1.5e-4)), Band(2.5, (0.025, 3.5e-4)))

# 0.0174 x 1 degree up to |eta| = 2.958, then 10 degrees: the same in both cards
_ECAL_EDGES, _ECAL_PHI = _grid(
    ([round(0.0174 * i, 4) for i in range(1, 171)], 360),
    ([3.125, 3.3, 3.475, 3.65, 3.825, 4.0, 4.175, 4.35, 4.525, 4.7, 5.0], 36),
)
_CMS_HCAL_EDGES, _CMS_HCAL_PHI = _grid(
    ([round(0.087 * i, 3) for i in range(1, 20)], 72),
    ([1.74, 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 2.868, 2.95], 36),
    ([3.125, 3.3, 3.475, 3.65, 3.825, 4.0, 4.175, 4.35, 4.525], 36),
    ([4.7, 5.0], 18),
)
_ATLAS_HCAL_EDGES, _ATLAS_HCAL_PHI = _grid(
    ([round(0.1 * i, 1) for i in range(1, 27)], 36),
    ([2.8, 3.0, 3.2, 3.5, 3.7, 3.9, 4.1, 4.3, 4.5, 4.7, 4.9], 18),
)

CARDS = {
    "CMS": Card(
        radius=1.29,
        half_length=3.00,
        field=3.8,
        hadron_efficiency=_HADRONS,
        electron_efficiency=_ELECTRONS,
        muon_efficiency=_MUONS,
        hadron_resolution=(
            Band(0.5, (0.01, 1.5e-4)),
            Band(1.5, (0.015, 2.5e-4)),
            Band(2.5, (0.025, 5.5e-4)),
        ),
        electron_resolution=_ELECTRON_PT,
        muon_resolution=_MUON_PT,
        ecal=Calorimeter(
            eta_edges=_ECAL_EDGES,
            phi_bins=_ECAL_PHI,
            resolution=(Band(2.5, (0.008, 0.11, 0.40)), Band(5.0, (0.107, 2.08, 0.0))),
            scale=(
                Band(1.5, (1.0, 0.64, 0.0)),
                Band(2.5, (2.16, 5.6, 2.0)),
                Band(5.0, (1.0, 0.0, 0.0)),
            ),
        ),
        hcal=Calorimeter(
            eta_edges=_CMS_HCAL_EDGES,
            phi_bins=_CMS_HCAL_PHI,
            resolution=(Band(3.0, (0.050, 1.50, 0.0)), Band(5.0, (0.130, 2.70, 0.0))),
            energy_min=1.0,
        ),
    ),
    "ATLAS": Card(
        radius=1.15,
        half_length=3.51,
        field=2.0,
        hadron_efficiency=_HADRONS,
        electron_efficiency=_ELECTRONS,
        muon_efficiency=_MUONS,
        hadron_resolution=(
            Band(0.5, (0.06, 1.3e-3)),
            Band(1.5, (0.10, 1.7e-3)),
            Band(2.5, (0.25, 3.1e-3)),
        ),
        electron_resolution=_ELECTRON_PT,
        muon_resolution=_MUON_PT,
        ecal=Calorimeter(
            eta_edges=_ECAL_EDGES,
            phi_bins=_ECAL_PHI,
            resolution=(Band(3.2, (0.0017, 0.101, 0.0)), Band(4.9, (0.0350, 0.285, 0.0))),
        ),
        hcal=Calorimeter(
            eta_edges=_ATLAS_HCAL_EDGES,
            phi_bins=_ATLAS_HCAL_PHI,
            resolution=(
                Band(1.7, (0.0302, 0.5205, 1.59)),
                Band(3.2, (0.0500, 0.706, 0.0)),
                Band(4.9, (0.0942, 1.00, 0.0)),
            ),
            energy_min=1.0,
        ),
    ),
}
