"""Overflows inside the network, and what made each stage."""

from typing import Any

from triggerforge.config.report import ReportConfig
from triggerforge.report.material import gather
from triggerforge.report.tables.overflow import overflow_audit
from triggerforge.report.tables.provenance import mixture, provenance


def material(result: dict[str, Any]) -> Any:
    return gather(ReportConfig(), {"version": 1, **result}, {})


def test_the_worst_overflow_comes_first_and_wraps_before_saturations(run: Any) -> None:
    table = overflow_audit(material({"overflow_audit": run.result["overflow_audit"]}))
    assert [[c.text for c in row] for row in table.rows] == [
        ["fc2", "input", "wraps", "0.222 %", "7,200", "2", "0.0278 %"],
        ["fc1", "output", "saturates", "1 %", "7,200", "9", "0.125 %"],
    ]
    assert table.rows[0][-1].tone == "bad" and table.rows[1][-1].tone == "warn"
    assert table.notes == ("1 tensor of 3 never left its range in 900 test events.",)


def test_no_overflow_is_a_line_and_no_table() -> None:
    rows = [
        {"layer": f"l{i}", "tensor": "output", "kind": "sat", "events": 50, "overflows": 0}
        | {"values": 100}
        for i in range(4)
    ]
    table = overflow_audit(material({"overflow_audit": rows}))
    assert table.rows == () and table.columns == ()
    assert table.notes == ("0 overflows: none of 4 tensors left its range in 50 test events.",)


def test_a_missing_count_is_no_zero() -> None:
    row = {"layer": "l", "tensor": "t", "kind": "wrap", "events": 9, "overflows": None, "values": 9}
    table = overflow_audit(material({"overflow_audit": [row]}))
    assert table.rows[0][-2].text == "–"


def stages(commit: str = "a" * 40, **changes: Any) -> dict[str, Any]:
    made = {"git": {"commit": "a" * 40, "dirty": False}, "tools": {"torch": "2.13", "keras": "3"}}
    other = made | {"git": {"commit": commit, "dirty": commit[0] == "b"}} | changes
    return {"stages": {"data": made, "train": other}}


def test_stages_made_alike_are_one_line() -> None:
    table = provenance(material(stages()))
    assert table.columns == ("stage", "commit")
    assert table.notes == ("All stages were made by one commit, with the same tools.",)
    assert mixture(material(stages())) == ""


def test_mixed_software_is_said() -> None:
    mixed = stages(commit="b" * 40, tools={"torch": "2.14", "keras": "3"})
    table = provenance(material(mixed))
    assert table.columns[-1] == "torch" and table.rows[1][-1].text == "2.14"
    said = mixture(material(mixed))
    assert "2 commits (aaaaaaaaaaaa, bbbbbbbbbbbb + changes)" in said
    assert "torch 2.13 and 2.14" in said and "keras" not in said


def test_a_tool_that_one_stage_did_not_use_is_no_mixture() -> None:
    assert mixture(material(stages(tools={"numpy": "2"}))) == ""
