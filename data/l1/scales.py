"""Hardware scales of the CMS Level-1 Global Trigger: LSB and range of every quantity.

pT has an LSB of 0.5 GeV; calorimeter objects have 0.0435 in eta and 2 pi / 144 in phi, muons
0.010875 and 2 pi / 576 (the numbers of the trigger menus' scale sets and of the muon candidates in
github.com/cms-sw/cmssw; JINST 15 (2020) P10017, arXiv 2006.10165). Widths, from memory of the
Global Trigger's object formats: pT of e/gamma and muons 9 bits, jets 11, sums 12, regions 10
(CICADA's `ap_uint<10>`, github.com/cms-hls4ml/CICADA). The hardware's offset of one in muon pT is
left out here: pT = 0.5 GeV times the integer for all objects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scale:
    """value = integer x lsb, with the integer in low..high."""

    lsb: float
    unit: str
    """of `lsb`: "GeV", "1" or "rad" """
    low: int
    high: int
    bits: int
    text: str
    """the LSB as people write it"""
    periodic: bool = False
    """whether high + 1 is low again, as for phi"""

    @property
    def signed(self) -> bool:
        """Whether the integers are in two's complement."""
        return self.low < 0

    def to_integers(
        self, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Integers of finite `values` in physical units, and where they saturated; any shape.

        pT and sums are truncated, as firmware does; angles go to the nearest integer.
        """
        steps = values / self.lsb
        # a product such as 3 * 0.0435 must give 3 back, so that truncation needs a margin
        whole = np.floor(steps + 1e-6) if self.unit == "GeV" else np.rint(steps)
        if self.periodic:
            return np.mod(whole, self.high + 1).astype(np.int64), np.zeros(whole.shape, np.bool_)
        return np.clip(whole, self.low, self.high).astype(np.int64), (
            (whole < self.low) | (whole > self.high)
        )


def _pt(bits: int) -> Scale:
    return Scale(0.5, "GeV", 0, 2**bits - 1, bits, "0.5 GeV")


def _phi(steps: int, bits: int) -> Scale:
    return Scale(2 * np.pi / steps, "rad", 0, steps - 1, bits, f"2pi/{steps} rad", periodic=True)


SUM_PT = _pt(12)
JET_PT = _pt(11)
LEPTON_PT = _pt(9)
CALO_ETA = Scale(0.0435, "1", -128, 127, 8, "0.0435")
CALO_PHI = _phi(144, 8)
MUON_ETA = Scale(0.010875, "1", -256, 255, 9, "0.010875")
MUON_PHI = _phi(576, 10)
REGION_ET = _pt(10)
