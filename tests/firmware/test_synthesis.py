"""Cell counts, the parts they are compared with, and yosys on a small design."""

import json
import shutil
from pathlib import Path

import pytest

from triggerforge.errors import ToolFailedError
from triggerforge.firmware.parts import find_part, shares
from triggerforge.firmware.synthesis import Utilisation, count_cells, read_cells, synthesize
from triggerforge.tools import Tool, require

DESIGN = """
module top(input clk, input [7:0] a, input [7:0] b, output reg [8:0] sum);
  always @(posedge clk) sum <= a + b;
endmodule
"""


def test_counts_by_what_cells_take() -> None:
    cells = {
        "LUT2": 5, "LUT6": 7, "INV": 2, "SRL16E": 3, "RAM64M": 2, "FDRE": 11, "FDSE": 1,
        "CARRY4": 4, "CARRY8": 1, "DSP48E2": 6, "RAMB36E2": 2, "RAMB18E2": 3,
        "$scopeinfo": 99, "IBUF": 9, "BUFG": 1,
    }  # fmt: skip
    expected = Utilisation(
        lut=5 + 7 + 2 + 3 + 2 * 4, ff=12, dsp=6, bram=2 + 2, carry_bits=4 * 4 + 8
    )
    assert count_cells(cells) == expected


def test_no_cells_take_nothing() -> None:
    assert count_cells({}) == Utilisation(0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"design": {}}', '{"design": {"num_cells_by_type": 3}}']
)
def test_damaged_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stat.json"
    path.write_text(text)
    with pytest.raises(ToolFailedError, match="no cell counts"):
        read_cells(path)


def test_yosys_counts_an_adder(tmp_path: Path) -> None:
    source = tmp_path / "rtl" / "top.v"
    source.parent.mkdir()
    source.write_text(DESIGN)
    found = synthesize(require("yosys"), [source], "top", "xcup", 300, tmp_path / "synthesis")
    assert found.ff == 9
    assert (found.dsp, found.bram) == (0, 0)
    assert 8 <= found.lut <= 18
    assert found.carry_bits >= 8
    stat = json.loads((tmp_path / "synthesis" / "stat.json").read_text())
    assert stat["design"]["num_cells_by_type"]["FDRE"] == 9


def test_broken_source_shows_the_log(tmp_path: Path) -> None:
    source = tmp_path / "rtl" / "top.v"
    source.parent.mkdir()
    source.write_text("module top(; endmodule")
    with pytest.raises(ToolFailedError, match=r"ERROR.*syntax error"):
        synthesize(require("yosys"), [source], "top", "xcup", 300, tmp_path / "synthesis")


def test_tool_that_writes_nothing_is_a_failure(tmp_path: Path) -> None:
    silent = Tool("yosys", "", "", True, command=(str(shutil.which("true")),))
    with pytest.raises(ToolFailedError, match="no cell counts"):
        synthesize(silent, [], "top", "xcup", 10, tmp_path / "synthesis")


@pytest.mark.parametrize(
    ("name", "lut", "slr"),
    [
        ("xcvu13p-flga2577-2-e", 1_728_000, 4),
        ("XCVU9P-flgb2104-2-i", 1_182_240, 3),
        ("xcku115-flvb2104-2-i", 663_360, 2),
        ("xc7vx690tffg1927-2", 433_200, 1),
    ],
)
def test_parts(name: str, lut: int, slr: int) -> None:
    part = find_part(name)
    assert part is not None
    assert (part.lut, part.slr) == (lut, slr)


def test_shares_of_part_and_region() -> None:
    used = shares(find_part("xcvu13p"), {"lut": 17_280, "ff": 0, "dsp": None, "bram": 672})
    assert used["lut"] == {"part_percent": pytest.approx(1), "slr_percent": pytest.approx(4)}
    assert used["ff"]["part_percent"] == 0
    assert used["bram"]["slr_percent"] == pytest.approx(100)
    assert "dsp" not in used


def test_unknown_part_has_no_shares() -> None:
    assert shares(find_part("xc2v1000"), {"lut": 1}) == {}
