"""The last words of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from triggerforge.errors import ArtifactError
from triggerforge.report.ending import ending


def test_verdict_and_place_are_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(run.result))
    lines = ending(tmp_path).splitlines()
    exact = [row for row in run.result["parity"] if not row["tolerance_lsb"]]
    assert lines[0].startswith("accuracy: float ") and "chance is 33.33 %" in lines[0]
    assert lines[1].startswith("parity: ")
    assert f"{sum(row['outputs'] for row in exact):,} compared outputs" in lines[1]
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"


def test_what_was_not_run_is_told(tmp_path: Path) -> None:
    result = {"version": 1, "benchmark": {"not_run": {"rtl": "no verilator"}}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    said = ending(tmp_path)
    assert "parity was not checked" in said
    assert "rtl" in said and "no verilator" in said


def test_a_quick_run_says_so_first(run: Any, tmp_path: Path) -> None:
    run.result["context"] |= {"quick": True}
    (tmp_path / "result.json").write_text(json.dumps(run.result))
    lines = ending(tmp_path).splitlines()
    assert lines[0].startswith("Quick run: ") and "no result" in lines[0]
    assert "chance is 33.33 %" in "\n".join(lines[:4])


def test_working_points_are_told_with_threshold_rate_and_efficiencies(tmp_path: Path) -> None:
    point = {"target_khz": 10.0, "threshold": 1.25, "rate_khz": 9.5, "rate_err_khz": 0.5}
    point |= {"efficiency": {"A_4l": 0.25, "HH": 0.5}, "efficiency_err": {"A_4l": 0.02, "HH": 0.04}}
    rates = [point | {"model": "float", "threshold_lsb": None}]
    rates += [point | {"model": "firmware", "threshold_lsb": 160}]
    refused = {"float at 1 kHz": "below 2 kHz", "firmware at 1 kHz": "below 3 kHz"}
    result = {"version": 1, "rates": rates, "trigger": {"not_run": refused}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    lines = ending(tmp_path).splitlines()
    assert lines[0] == (
        "10 kHz (firmware): threshold 1.25 = 160 LSB, rate 9.50 ± 0.50 kHz, "
        "efficiency A_4l 25.0 ± 2.0 %, HH 50.0 ± 4.0 %"
    )
    assert sum("kHz" in line and line.startswith("not run") for line in lines) == 1
    assert any("below 2 / 3 kHz" in line for line in lines)


@pytest.mark.parametrize("rates", [3, [4], [{"efficiency": 5, "model": "float"}], "x"])
def test_a_damaged_result_is_an_error(rates: Any, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"version": 1, "rates": rates, "context": []}))
    with pytest.raises(ArtifactError, match="ending"):
        ending(tmp_path)
