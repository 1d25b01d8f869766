"""The quantised model with QONNX `Quant` nodes, for FPGA tools.

`Quant` (fastmachinelearning/qonnx, `qonnx.custom_op.general`) has a scale for each element, one bit
width and one sign for the tensor, saturates, and rounds down, to even, or half away from zero. What
ap_fixed can do beyond that is written with standard operators in front of a `Quant` that then
changes nothing and names the type; each such place is noted with its reason.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from triggerforge.export.builder import QONNX_DOMAIN
from triggerforge.export.formats import ElementFormats
from triggerforge.export.grid import Floats, Grid
from triggerforge.export.lowering import Lowering, changes_nothing
from triggerforge.export.tensor import Stored, Tensor, cast, compact
from triggerforge.fixedpoint import Overflow, Rounding

_ROUNDING = {Rounding.TRN: "FLOOR", Rounding.RND: "FLOOR", Rounding.RND_CONV: "ROUND"}


@dataclass(frozen=True)
class Helped:
    """A quantiser that one `Quant` node cannot express."""

    layer: str
    tensor: str
    """output of the `Quant` node"""
    reasons: tuple[str, ...]


class QonnxLowering(Lowering):
    """Writes values as they are (no folded scales), and every quantiser as a `Quant` node."""

    keeps_formats = True

    def __init__(self) -> None:
        super().__init__()
        self.helped: list[Helped] = []

    def parameter(self, values: Floats, dtype: Any, formats: ElementFormats | None) -> str:
        """A weight behind a `Quant` node with its formats, which leaves its value as it is."""
        name = super().parameter(values, np.float32, None)
        if formats is not None:
            if changes_nothing(Grid.constant(values), formats):
                name = self._quant(name, formats, narrow=False)
            else:
                self.helped.append(Helped(self.where, name, ("weights exceed their own format",)))
        return cast(self.graph, Stored(name, np.float32), dtype).name

    def quantize(self, x: Tensor, formats: ElementFormats) -> Tensor:
        """x after the quantiser: one `Quant`, or standard operators and a `Quant` behind them."""
        grid = formats.after(x.grid)
        reasons = _beyond_quant(x, formats)
        x = x.settled(self.graph)
        if x.stored is not None and x.stored.dtype != np.float32:
            reasons = (*reasons, "its input needs float64")
        if reasons:
            x = super().quantize(x, formats)
        source = cast(self.graph, x.values(self.graph, np.ones(())), np.float32)
        narrow = formats.overflow is Overflow.SAT_SYM and bool(np.all(formats.signed == 1))
        name = self._quant(source.name, formats, narrow)
        if reasons:
            self.helped.append(Helped(self.where, name, reasons))
        return Tensor(grid, self.where, Stored(name, np.float32))

    def _quant(self, source: str, formats: ElementFormats, narrow: bool) -> str:
        """One node whose single type holds every element's: the widest, signed if any is."""
        signed = int(formats.signed.max(initial=0))
        width = int((formats.width + (signed - formats.signed)).max(initial=1))
        scale = np.where(formats.live, np.ldexp(1.0, -formats.fraction), 1.0)
        # a signed Quant of one bit means {-1, +1} to QONNX
        width = max(width, 2 if signed else 1)
        names = [
            self.graph.constant(np.asarray(v, np.float32)) for v in (compact(scale), 0.0, width)
        ]
        return self.graph.node(
            "Quant",
            source,
            *names,
            domain=QONNX_DOMAIN,
            signed=signed,
            narrow=int(narrow),
            rounding_mode=_ROUNDING[formats.rounding],
        )


def _beyond_quant(x: Tensor, formats: ElementFormats) -> tuple[str, ...]:
    """What about this quantiser one `Quant` node cannot say; nothing where it changes no value."""
    if changes_nothing(x.grid, formats):
        return ()
    units = [formats.round_units(np.ldexp(v, formats.fraction)) for v in (x.grid.low, x.grid.high)]
    leaves = formats.live & ((units[0] < formats.low) | (units[1] > formats.high))
    found = {
        "overflow wraps": formats.overflow is Overflow.WRAP and leaves.any(),
        "halves round up": formats.rounding is Rounding.RND
        and formats.needs_rounding(x.grid).any(),
        "bit widths differ between elements": np.ptp(formats.width) > 0,
        "signs differ between elements": np.ptp(formats.signed) > 0,
        "some elements are pruned": bool(np.any(~formats.live)),
    }
    return tuple(reason for reason, holds in found.items() if holds)
