"""The last words of a run."""

import json
from pathlib import Path
from typing import Any

from triggerforge.report.ending import ending


def test_verdict_and_place_are_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(run.result))
    lines = ending(tmp_path).splitlines()
    exact = [row for row in run.result["parity"] if not row["tolerance_lsb"]]
    assert lines[0].startswith("parity: ")
    assert f"{sum(row['outputs'] for row in exact):,} compared outputs" in lines[0]
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"


def test_what_was_not_run_is_told(tmp_path: Path) -> None:
    result = {"version": 1, "benchmark": {"not_run": {"rtl": "no verilator"}}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    said = ending(tmp_path)
    assert "parity was not checked" in said
    assert "rtl" in said and "no verilator" in said
