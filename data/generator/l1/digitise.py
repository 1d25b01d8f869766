"""Trigger primitives: tower energies as the integers that the calorimeters send to Level-1.

LSB 0.5 GeV in ET, 8 bits for each of ECAL and HCAL, 9 bits for their sum (JINST 15 (2020) P10017 and
the layer-1 calorimeter trigger in github.com/cms-sw/cmssw). Assumed: ET is truncated, which
suppresses what lies under 0.5 GeV; neither the calibration of layer 1 nor other bunch crossings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.generator.l1.towers import CENTRAL, COLUMNS
from triggerforge.data.l1.layout import REGION_ETA, REGION_PHI
from triggerforge.data.l1.scales import REGION_ET

LSB = 0.5
"""[GeV]"""
_LAYER_MOST, _SUM_MOST = 2**8 - 1, 2**9 - 1
_FORWARD_COLUMNS = 2


@dataclass(frozen=True)
class Primitives:
    """Towers of B crossings in units of 0.5 GeV."""

    ecal: NDArray[np.int32]
    """(B, 80, 72)"""
    hcal: NDArray[np.int32]
    total: NDArray[np.int32]
    saturated: int
    """towers that lay past the range of a layer or of the sum"""


def digitise(et: NDArray[np.float64]) -> Primitives:
    """Primitives of tower ET [GeV] (B, 2, 80, 72)."""
    steps = np.floor(_paired(et) / LSB)
    layers = np.minimum(steps, _LAYER_MOST).astype(np.int32)
    ecal, hcal = layers[:, 0], layers[:, 1]
    total = np.minimum(ecal + hcal, _SUM_MOST)
    over = int((steps > _LAYER_MOST).sum()) + int((ecal + hcal > _SUM_MOST).sum())
    return Primitives(ecal, hcal, total, over)


def _paired(et: NDArray[np.float64]) -> NDArray[np.float64]:
    """Forward towers are two columns wide: each column has half of a pair's ET."""
    result = et.copy()
    for rings in (slice(0, CENTRAL.start), slice(CENTRAL.stop, None)):
        forward = et[:, :, rings]
        pairs = forward.reshape(*forward.shape[:3], COLUMNS // _FORWARD_COLUMNS, _FORWARD_COLUMNS)
        result[:, :, rings] = np.repeat(pairs.mean(axis=-1), _FORWARD_COLUMNS, axis=-1)
    return result


def region_map(primitives: Primitives) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """(B, 18, 14): ET of regions of 4 x 4 towers with |eta| < 3, by phi and eta, and saturation."""
    central = primitives.total[:, CENTRAL]
    high, wide = central.shape[1] // REGION_ETA, central.shape[2] // REGION_PHI
    blocks = central.reshape(-1, REGION_ETA, high, REGION_PHI, wide).sum(axis=(2, 4))
    regions = blocks.transpose(0, 2, 1)
    over = regions > REGION_ET.high
    return np.minimum(regions, REGION_ET.high).astype(np.uint16), over
