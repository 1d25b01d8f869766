"""Level-1 e/gamma: a local maximum of the ECAL, the towers next to it, little behind it.

After CMS' calorimeter trigger (JINST 15 (2020) P10017), simplified: a seed of at least 2 GeV, |eta| < 3,
the maximum of 3 x 5 (eta x phi) ECAL towers; a cluster of 2 x 5, on the side in eta with more. Assumed:
HCAL over ECAL of the cluster at most 0.15, dropped above 64 GeV; neither cluster shapes nor isolation.
"""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.digitise import LSB, Primitives
from triggerforge.data.generator.l1.towers import CENTRAL, ETA_CENTRES, PHI_CENTRES
from triggerforge.data.generator.l1.windows import Sums, local_maxima

_SEED = int(2.0 / LSB)
_HCAL_OVER_ECAL, _NO_VETO_ABOVE = 0.15, 64.0
_SIDES = ((-1, 0), (0, 1))
_ACROSS = (-2, 2)


def find_egamma(primitives: Primitives) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Crossing (K,), and pT [GeV], eta, phi (K, 3) of the e/gamma objects of B crossings."""
    ecal, hcal = primitives.ecal[:, CENTRAL], primitives.hcal[:, CENTRAL]
    seeds = local_maxima(ecal, _SEED, (1, 2))
    clusters = np.stack([Sums(ecal, 2).around(seeds, side, _ACROSS) for side in _SIDES])
    behind = np.stack([Sums(hcal, 2).around(seeds, side, _ACROSS) for side in _SIDES])
    side = clusters.argmax(axis=0)
    each = np.arange(len(side))
    cluster, veto = clusters[side, each], behind[side, each]
    pt = cluster * LSB
    found = (veto <= _HCAL_OVER_ECAL * cluster) | (pt > _NO_VETO_ABOVE)
    places = (ETA_CENTRES[CENTRAL][seeds.ring[found]], PHI_CENTRES[seeds.column[found]])
    return seeds.crossing[found], np.stack([pt[found], *places], axis=1)
