"""What AMD's parts hold, so that a design can be put in percent of one.

Sources: AMD UltraScale+ product selection guide (XMP103), UltraScale (XMP102), 7 series (XMP101),
Alveo data sheets DS962 (U200/U250), DS963 (U280), DS965 (U50). BRAM counts are of 36 kb blocks.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Totals of one die or stack of dies; `slrs` is the number of super logic regions."""

    lut: int
    ff: int
    dsp: int
    bram: int
    slrs: int


_PARTS = {
    "xcvu13p": Part(1_728_000, 3_456_000, 12_288, 2_688, 4),
    "xcvu9p": Part(1_182_240, 2_364_480, 6_840, 2_160, 3),
    "xcvu7p": Part(788_160, 1_576_320, 4_560, 1_440, 2),
    "xcvu5p": Part(600_577, 1_201_154, 3_474, 1_024, 2),
    "xcvu3p": Part(394_080, 788_160, 2_280, 720, 1),
    "xcu250": Part(1_728_000, 3_456_000, 12_288, 2_688, 4),
    "xcu200": Part(1_182_240, 2_364_480, 6_840, 2_160, 3),
    "xcu280": Part(1_303_680, 2_607_360, 9_024, 2_016, 3),
    "xcu50": Part(871_680, 1_743_360, 5_952, 1_344, 2),
    "xcku15p": Part(522_720, 1_045_440, 1_968, 984, 1),
    "xcku115": Part(663_360, 1_326_720, 5_520, 2_160, 2),
    "xcku040": Part(242_400, 484_800, 1_920, 600, 1),
    "xc7vx690t": Part(433_200, 866_400, 3_600, 1_470, 1),
    "xczu9eg": Part(274_080, 548_160, 2_520, 912, 1),
    "xczu7ev": Part(230_400, 460_800, 1_728, 312, 1),
    "xc7z020": Part(53_200, 106_400, 220, 140, 1),
}


def find_part(name: str) -> Part | None:
    """The part whose name `name` begins with (xcvu13p-flga2577-2-e); None for an unknown one."""
    matches = [key for key in _PARTS if name.lower().startswith(key)]
    return _PARTS[max(matches, key=len)] if matches else None
