"""Level-1 jets: 9 x 9 towers about a local maximum, less the pile-up of the strips beside them.

The algorithm of CMS' calorimeter trigger (JINST 15 (2020) P10017): the seed has at least 4 GeV and
beats all of its 9 x 9 window; of the four 3 x 9 strips around the window the three lowest, 81 towers
like the window, are subtracted. The calibration is one assumed factor that brings the mean response
of this simulation near one; docs/l1.md has what it was measured to be.
"""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.digitise import LSB, Primitives
from triggerforge.data.generator.l1.towers import ETA_CENTRES, PHI_CENTRES
from triggerforge.data.generator.l1.windows import Sums, local_maxima

_SEED = int(4.0 / LSB)
_HALF, _STRIP = 4, 3
_FAR = _HALF + _STRIP
CALIBRATION = 1.0


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
    pt = (window - pileup) * LSB * CALIBRATION
    found = pt > 0
    places = (ETA_CENTRES[seeds.ring[found]], PHI_CENTRES[seeds.column[found]])
    return seeds.crossing[found], np.stack([pt[found], *places], axis=1)
