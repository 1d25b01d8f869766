"""Runs side by side in one table."""

import json
from pathlib import Path
from typing import Any

import pytest

from triggerforge.report.compare import compare, main


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_figures_are_those_of_the_record(run: Any) -> None:
    header, rule, line = compare({"mine": run.result}).splitlines()
    row = dict(zip(cells(header), cells(line), strict=True))
    assert len(cells(rule)) == len(row)
    exact = [r for r in run.result["parity"] if not r["tolerance_lsb"]]
    assert row["run"] == "mine"
    assert row["EBOPs"] == f"{round(run.result['compression']['ebops']):,}"
    assert row["mismatches"] == str(sum(r["mismatches"] for r in exact))
    assert row["exact outputs"] == f"{sum(r['outputs'] for r in exact):,}"
    accuracy = 100 * run.result["metrics"]["float"]["accuracy"]
    assert float(row["float [%]"].split(" ± ")[0]) == pytest.approx(accuracy, abs=0.1)
    assert row["LUT"] == f"{run.result['resources']['lut']:,}"


def test_what_was_not_run_is_a_dash() -> None:
    line = compare({"empty": {"version": 1}}).splitlines()[2]
    assert set(cells(line)[1:]) == {"–"}


def test_the_command_prints_each_run(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(run.result))
    assert main([str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    assert [cells(row)[0] for row in capsys.readouterr().out.splitlines()[2:]] == ["one", "two"]


@pytest.mark.parametrize("text", [None, "{", '{"version": 99}'])
def test_a_run_that_cannot_be_read_is_an_error(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    assert main([str(tmp_path)]) == 1
    written = capsys.readouterr()
    assert "error:" in written.err and not written.out
