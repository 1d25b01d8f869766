"""Every axis of every plot says what it shows, and in which unit."""

from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.report.figures import figures_drawn, require_labels
from triggerforge.config.report import ReportConfig
from triggerforge.report.material import gather
from triggerforge.report.sections import SECTIONS


def draw(run: Any) -> list[Figure]:
    material = gather(ReportConfig(), run.result, run.folders)
    with figures_drawn() as figures:
        for block in (block for section in SECTIONS for block in section.blocks):
            block.build(material)
    return figures


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"shape": (5, 3)},
        {"shape": (6, 6, 1), "classes": ("qcd", "top")},
        {"background": ("g",)},
    ],
    ids=["features", "particles", "images", "score"],
)
def test_every_axis_is_labelled(make_run: Callable[..., Any], choices: dict[str, Any]) -> None:
    figures = draw(make_run(**choices))
    assert len(figures) > 15
    require_labels(figures)


def test_a_missing_label_or_unit_is_found() -> None:
    for label, missing in (("", "without a label"), ("time of a call", "time of a call")):
        figure = Figure()
        axes = figure.add_subplot(xlabel="mass [GeV]", ylabel=label)
        with pytest.raises(AssertionError, match=missing):
            require_labels([figure])
        axes.set_ylabel("time of a call [µs]")
        require_labels([figure])
