"""Nobody takes a quick run for a result."""

from pathlib import Path
from typing import Any

import pytest

from triggerforge.config.report import ReportConfig
from triggerforge.report.compare import compare
from triggerforge.report.quick import HEADLINE, banner
from triggerforge.report.write import write_report

SIZES = {
    "generate.jets": {"quick": 1500, "whole": 120000},
    "train.model.kwargs": {"quick": {"hidden": [8]}, "whole": None},
}


def test_a_whole_run_has_no_banner(run: Any, tmp_path: Path) -> None:
    assert banner(run.result) == ()
    write_report(ReportConfig(), {"version": 1, "context": {"quick": False}}, {}, tmp_path / "r")
    assert HEADLINE not in (tmp_path / "r").read_text()


def test_the_banner_says_how_small_and_stands_before_the_figures(run: Any, tmp_path: Path) -> None:
    run.result["context"] |= {"quick": True, "quick_sizes": SIZES}
    lines = banner(run.result)
    assert lines[0] == HEADLINE
    assert lines[1] == "Trained on 900 events for 3 epochs, tested on 900 events"
    assert lines[2].startswith("accuracy: float ") and "chance is 33.33 %" in lines[2]
    assert "generate.jets 1,500 (whole run: 120,000)" in lines[3]
    assert 'train.model.kwargs {"hidden": [8]}' in lines[3]
    result = {k: run.result[k] for k in ("version", "context", "training", "data")}
    write_report(ReportConfig(), result, {}, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.index(HEADLINE) < text.index('class="verdict') < text.index('class="tiles')


def test_a_score_has_its_auc_beside_chance(make_run: Any) -> None:
    made = make_run(background=("g",))
    made.result["context"] |= {"quick": True}
    assert "AUC of the signals: float 0." in banner(made.result)[2]
    assert banner(made.result)[2].endswith("chance is 0.5")


@pytest.mark.parametrize("context", [{}, {"quick": None}, {"quick": 0}, {"quick": "no"}, []])
def test_only_a_true_mark_is_one(context: Any) -> None:
    assert banner({"context": context}) == ()


def test_quick_runs_are_marked_in_a_comparison(run: Any) -> None:
    quick = {**run.result, "context": {"quick": True}}
    lines = compare({"a": run.result, "b": quick}).splitlines()
    assert lines[2].startswith("| a |") and lines[3].startswith("| b (quick run) |")
