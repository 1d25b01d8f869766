"""What the FPGAs of triggers hold.

Sources: AMD DS890 "UltraScale Architecture and Product Data Sheet: Overview" (CLB LUTs, CLB
flip-flops, DSP slices, 36 Kb block RAMs) and UG872/UG575 for the super logic regions (SLR);
Virtex-7: AMD DS180 "7 Series FPGAs Data Sheet: Overview".
"""

from dataclasses import dataclass

from triggerforge.errors import did_you_mean


@dataclass(frozen=True)
class Part:
    """Resources of a whole device."""

    name: str
    lut: int
    ff: int
    dsp: int
    bram: int
    """block RAMs of 36 Kb"""
    slr: int
    """super logic regions: dies of equal size in one package"""
    family: str
    """the name yosys gives the architecture"""


_PARTS = (
    Part("xcvu13p", 1_728_000, 3_456_000, 12_288, 2_688, 4, "xcup"),
    Part("xcvu9p", 1_182_240, 2_364_480, 6_840, 2_160, 3, "xcup"),
    Part("xcvu7p", 788_160, 1_576_320, 4_560, 1_440, 2, "xcup"),
    Part("xcu250", 1_728_000, 3_456_000, 12_288, 2_688, 4, "xcup"),
    Part("xcku15p", 522_720, 1_045_440, 1_968, 984, 1, "xcup"),
    Part("xczu9eg", 274_080, 548_160, 2_520, 912, 1, "xcup"),
    Part("xcku115", 663_360, 1_326_720, 5_520, 2_160, 2, "xcu"),
    Part("xc7vx690t", 433_200, 866_400, 3_600, 1_470, 1, "xc7"),
)


DEFAULT_FAMILY = "xcup"
"""what a part that is not in the table is synthesised as"""


def find_part(name: str) -> Part | None:
    """The device of a part name such as `xcvu13p-flga2577-2-e`; None where it is not in the table."""
    device = _device(name)
    return next((p for p in _PARTS if device.startswith(p.name)), None)


def unknown_part(name: str) -> str:
    """A sentence on what is not known of a part; empty where it is in the table."""
    if find_part(name):
        return ""
    return (
        f"the part {name!r} is not in the table of devices: no shares of it, and yosys takes it for "
        f"UltraScale+ ({DEFAULT_FAMILY}); {did_you_mean(_device(name), (p.name for p in _PARTS))}"
    )


def _device(name: str) -> str:
    return name.lower().split("-")[0]


def shares(part: Part | None, used: dict[str, int | None]) -> dict[str, dict[str, float]]:
    """`used` (lut, ff, dsp, bram) in percent of the device and of one SLR; empty for an unknown part."""
    if part is None:
        return {}
    return {
        key: {"part_percent": 100 * count / total, "slr_percent": 100 * count * part.slr / total}
        for key, count in used.items()
        if count is not None and (total := getattr(part, key))
    }
