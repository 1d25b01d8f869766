"""Energy sums of a crossing: missing ET and total ET of towers, HT of jets."""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.digitise import LSB, Primitives
from triggerforge.data.generator.l1.towers import CENTRAL, ETA_CENTRES, ETA_EDGES, PHI_CENTRES
from triggerforge.data.generator.particles import sum_by

_HT_JET_PT, _HT_ABS_ETA = 30.0, 2.5
_THRESHOLD = 15.0 / LSB  # of a tower 0.087 wide if all inner towers were lit
_WIDTH = np.diff(ETA_EDGES)[CENTRAL] / 0.087
_INNER = np.flatnonzero(np.abs(ETA_CENTRES[CENTRAL]) < 4 * 0.087)


def missing_et(primitives: Primitives) -> NDArray[np.float64]:
    """(B, 3): missing ET [GeV], 0, phi, from towers with |eta| < 3 that stand out of the pile-up.

    As CMS does, a tower counts if it lies above a threshold that grows with its width and with the
    pile-up, which is estimated from the part of the towers at |ieta| <= 4 that are lit. Assumed:
    15 GeV times that part for a tower 0.087 wide in eta (2.6 GeV at pile-up 60).
    """
    central = primitives.total[:, CENTRAL]
    lit = (central[:, _INNER] > 0).mean(axis=(1, 2))
    threshold = _THRESHOLD * lit[:, None, None] * _WIDTH[:, None]
    kept = np.where(central > threshold, central, 0)
    rings = kept.sum(axis=1) * LSB
    x, y = -rings @ np.cos(PHI_CENTRES), -rings @ np.sin(PHI_CENTRES)
    return np.stack([np.hypot(x, y), np.zeros(len(x)), np.arctan2(y, x)], axis=1)


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
