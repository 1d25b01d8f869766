"""Resources from yosys: cells after technology mapping, before placement.

`synth_xilinx` maps to the vendor's primitives. LUT cells of few inputs are counted one by one, though
placement may put two into one LUT6; inverters are counted as LUTs, though placement may absorb them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from triggerforge.command import run_tool
from triggerforge.errors import ToolFailedError
from triggerforge.firmware.template import fill_template
from triggerforge.tools import Tool

_LUT = re.compile(r"LUT[1-6]|INV|SRL16E|SRLC32E|RAM\d+\w*")  # SRL and RAM64M sit in LUTs
_LUT6_PER_CELL = {"RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8}
_FF = re.compile(r"FD[CPRS]E(_1)?|LD[CP]E")
_DSP = re.compile(r"DSP48\w*|DSP58\w*")
_HALF_BRAM = re.compile(r"RAMB18\w*")
_BRAM = re.compile(r"RAMB36\w*")
_CARRY = {"CARRY4": 4, "CARRY8": 8}


@dataclass(frozen=True)
class Utilisation:
    """What a design takes."""

    lut: int
    """LUTs, those used as shift registers and memory with them"""
    ff: int
    dsp: int
    bram: int
    """block RAMs of 36 Kb, halves rounded up"""
    carry_bits: int
    """bits of carry chains; 8 to a CARRY8"""

    def to_dict(self) -> dict[str, int]:
        """For the record."""
        return asdict(self)


def synthesize(
    yosys: Tool, sources: list[Path], top: str, family: str, timeout_s: float, folder: Path
) -> Utilisation:
    """Runs yosys in `folder` on Verilog `sources` that lie below its parent.

    Raises ToolFailedError with the end of the log, or where it takes longer than `timeout_s`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # relative to the folder, so that the script can be run again where the folder was moved to
    relative = [str(Path("..") / path.relative_to(folder.parent)) for path in sources]
    fill_template("synthesis.ys", folder, sources=" ".join(relative), family=family, top=top)
    run_tool(yosys, ["-s", "synthesis.ys"], folder, "yosys.log", timeout_s)
    return count_cells(read_cells(folder / "stat.json"))


def read_cells(path: Path) -> dict[str, int]:
    """Cells by type from what `stat -json` wrote; raises ToolFailedError if that is damaged."""
    try:
        cells = json.loads(path.read_text())["design"]["num_cells_by_type"]
        return {str(name): int(count) for name, count in cells.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolFailedError(f"{path}: no cell counts of yosys ({error!r})") from error


def count_cells(cells: Mapping[str, int]) -> Utilisation:
    """Sums the cells (type → count) by what they take on the device."""

    def total(pattern: re.Pattern[str]) -> int:
        return sum(n for name, n in cells.items() if pattern.fullmatch(name))

    memory = sum((_LUT6_PER_CELL.get(name, 1) - 1) * n for name, n in cells.items())
    block = {name: n for name, n in cells.items() if not name.startswith("RAMB")}
    lut = sum(n for name, n in block.items() if _LUT.fullmatch(name)) + memory
    return Utilisation(
        lut=lut,
        ff=total(_FF),
        dsp=total(_DSP),
        bram=total(_BRAM) + (total(_HALF_BRAM) + 1) // 2,
        carry_bits=sum(bits * cells.get(name, 0) for name, bits in _CARRY.items()),
    )
