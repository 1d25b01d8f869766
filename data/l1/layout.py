"""The 57 inputs in order: MET, 4 e/gamma, 4 muons, 10 jets, each with pT, eta, phi.

The layout of the ADC2021 set (Govorkova et al., Sci. Data 9 (2022) 118, arXiv 2107.02157; Zenodo
5046389) and of AXOL1TL (github.com/cms-hls4ml/AXOL1TL). Regions are CICADA's: 18 in phi, 14 in eta.
"""

from dataclasses import dataclass
from itertools import pairwise

from triggerforge.data.l1.scales import (
    CALO_ETA,
    CALO_PHI,
    JET_PT,
    LEPTON_PT,
    MUON_ETA,
    MUON_PHI,
    REGION_ET,
    SUM_PT,
    Scale,
)


@dataclass(frozen=True)
class Kind:
    """One kind of object: how many slots it has, and the scales of pT, eta and phi."""

    name: str
    slots: int
    scales: tuple[Scale, Scale, Scale]


QUANTITIES = ("pt", "eta", "phi")
KINDS = (
    Kind("met", 1, (SUM_PT, CALO_ETA, CALO_PHI)),
    Kind("eg", 4, (LEPTON_PT, CALO_ETA, CALO_PHI)),
    Kind("mu", 4, (LEPTON_PT, MUON_ETA, MUON_PHI)),
    Kind("jet", 10, (JET_PT, CALO_ETA, CALO_PHI)),
)
"""The eta of MET is always 0."""

OBJECTS = sum(kind.slots for kind in KINDS)
"""19"""
_STARTS = [sum(k.slots for k in KINDS[:i]) for i in range(len(KINDS) + 1)]
SLOTS: dict[str, slice] = {
    kind.name: slice(*ends) for kind, ends in zip(KINDS, pairwise(_STARTS), strict=True)
}
"""kind -> its rows among the 19"""

ROWS = tuple(
    kind.name if kind.slots == 1 else f"{kind.name}{i}" for kind in KINDS for i in range(kind.slots)
)
INPUTS = tuple(f"{row}_{quantity}" for row in ROWS for quantity in QUANTITIES)
"""met_pt, met_eta, met_phi, eg0_pt, …, jet9_phi"""

REGION_PHI, REGION_ETA = 18, 14
REGION = "region"
REGIONS = tuple(f"{REGION}_{p}_{e}" for p in range(REGION_PHI) for e in range(REGION_ETA))
"""region_0_0, region_0_1, …: the map by phi, then by eta"""

SCALES: dict[str, Scale] = {
    f"{row}_{quantity}": scale
    for row, kind in zip(ROWS, (k for k in KINDS for _ in range(k.slots)), strict=True)
    for quantity, scale in zip(QUANTITIES, kind.scales, strict=True)
} | {REGION: REGION_ET}
"""input -> its scale; all regions have one"""
