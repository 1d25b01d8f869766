"""Level-1 jets: 9 x 9 towers about a local maximum, less the pile-up of the strips beside them.

The algorithm of CMS' calorimeter trigger (JINST 15 (2020) P10017): the seed has at least 4 GeV and
beats all of its 9 x 9 window; of the four 3 x 9 strips around the window the three lowest, 81 towers
like the window, are subtracted. The calibration is one factor for each of barrel, endcap and forward
calorimeter, so that jets of 80 to 250 GeV at pile-up 60 have a median response near one in this
simulation; the hardware's depends on pT and more finely on eta.
"""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.digitise import LSB, Primitives
from triggerforge.data.generator.l1.towers import ETA_CENTRES, PHI_CENTRES
from triggerforge.data.generator.l1.windows import Sums, local_maxima

_SEED = int(4.0 / LSB)
_HALF, _STRIP = 4, 3
_FAR = _HALF + _STRIP
_CALIBRATION = ((1.5, 1.10), (3.0, 1.00), (5.2, 0.90))  # up to |eta|: factor


def find_jets(primitives: Primitives) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Crossing (J,), and pT [GeV], eta, phi (J, 3) of the jets of B crossings."""
    seeds = local_maxima(primitives.total, _SEED, (_HALF, _HALF))
    sums = Sums(primitives.total, _FAR)
    whole, inner, outer = (-_HALF, _HALF), (_HALF + 1, _FAR), (-_FAR, -_HALF - 1)
    window = sums.around(seeds, whole, whole)
    strips = np.stack(
        [sums.around(seeds, *place) for place in ((inner, whole), (outer, whole))]
        + [sums.around(seeds, *place) for place in ((whole, inner), (whole, outer))]
    )
    pileup = strips.sum(axis=0) - strips.max(axis=0)
    pt = (window - pileup) * LSB * _factor(ETA_CENTRES[seeds.ring])
    found = pt > 0
    places = (ETA_CENTRES[seeds.ring[found]], PHI_CENTRES[seeds.column[found]])
    return seeds.crossing[found], np.stack([pt[found], *places], axis=1)


def _factor(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    edges, factors = zip(*_CALIBRATION, strict=True)
    result: NDArray[np.float64] = np.array(factors)[np.searchsorted(edges, np.abs(eta))]
    return result
