"""The 16 high-level features of the hls4ml LHC jet set (arXiv 1709.08705, 1804.06913).

zlogz and the multiplicity are of the jet as it is; all others are of the jet groomed with the
modified mass drop tagger (soft drop with beta = 0, z_cut = 0.1; arXiv 1307.0007, 1402.2657).
"""

import awkward as ak
import fastjet
import numpy as np

from triggerforge.data.features import HIGH_LEVEL
from triggerforge.data.generator.cards import Array
from triggerforge.data.generator.correlators import correlators
from triggerforge.data.generator.jets import Jets, four_vectors
from triggerforge.data.generator.particles import sum_by

_Z_CUT = 0.1
_RECLUSTER_RADIUS = 10.0  # all constituents become one jet


def high_level_features(jets: Jets, radius: float) -> dict[str, Array]:
    """`HIGH_LEVEL` by name, (J,) each; the mass in GeV, the others without unit.

    Ratios whose denominator is 0 (a groomed jet of one particle) are 0.
    """
    groomed = _groom(jets, radius)
    parts = groomed.constituents
    counts = ak.to_numpy(ak.num(parts.px)).astype(np.int64)
    px, py, pz, e = (ak.to_numpy(ak.flatten(parts[name])) for name in ("px", "py", "pz", "E"))
    pt = np.hypot(px, py)
    mt = np.hypot(pt, np.sqrt(np.maximum(e**2 - pt**2 - pz**2, 0.0)))
    c = correlators(counts, pt, np.arcsinh(pz / mt), np.arctan2(py, px))
    one, two = c.e2[1], c.e2[2]
    values = (
        _zlogz(jets),
        c.e2[0],
        one,
        two,
        _ratio(c.e3[1], one**2),
        _ratio(c.e3[2], two**2),
        _ratio(c.e3[1], one**3),
        _ratio(c.e3[2], two**3),
        _ratio(c.e3[1], one**3),
        _ratio(c.e3[1], two**1.5),
        _ratio(c.e3_smallest[1], one),
        _ratio(c.e3_smallest[2], two),
        _ratio(c.e3_two[1], one**2),
        _ratio(c.e3_two[2], two**2),
        # FastJet gives the mass of a massless jet as a small negative number
        np.maximum(ak.to_numpy(groomed.msoftdrop), 0.0),
        jets.counts.astype(np.float64),
    )
    return dict(zip(HIGH_LEVEL, values, strict=True))


def _groom(jets: Jets, radius: float) -> ak.Array:
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, _RECLUSTER_RADIUS)
    sequence = fastjet.ClusterSequence(four_vectors(jets.constituents, jets.counts), definition)
    return sequence.exclusive_jets_softdrop_grooming(
        njets=1, beta=0.0, symmetry_cut=_Z_CUT, symmetry_measure="scalar_z", R0=radius
    )


def _zlogz(jets: Jets) -> Array:
    """sum of x log x, x = E_i / E_jet, over the constituents of the jet as it is."""
    x = jets.constituents.energy / np.repeat(jets.energy, jets.counts)
    return sum_by(jets.constituents.event, x * np.log(x), len(jets.pt))


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
