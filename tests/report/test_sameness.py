"""Curves of the same bits are told apart in words, since no eye can."""

from typing import Any

import numpy as np
import pytest

from triggerforge.config.report import ReportConfig
from triggerforge.data.scores import write_logits
from triggerforge.report.material import gather
from triggerforge.report.plots.roc import roc_curves
from triggerforge.report.sameness import Twin, drawn, twins


def material(run: Any) -> Any:
    return gather(ReportConfig(), run.result, run.folders)


def test_a_form_with_the_same_bits_is_a_twin(run: Any) -> None:
    found = material(run)
    assert twins(found) == {"firmware": Twin("quantized", 300)}
    assert drawn(found, ["float", "quantized", "firmware"]) == ["float", "quantized"]
    assert drawn(found, ["firmware"]) == ["firmware"]


def test_the_legend_names_both_and_one_curve_is_drawn(run: Any) -> None:
    plot = roc_curves(material(run))
    assert [name for name, _ in plot.legend] == [
        "float",
        "quantised = firmware (identical in all bits on 300 events: one curve)",
    ]
    assert "firmware" not in plot.pictures[0].alt
    assert "firmware 300" in plot.caption


def test_one_other_bit_is_another_curve(make_run: Any) -> None:
    run = make_run()
    outputs = np.array(material(run).scores["firmware"])
    outputs[7, 1] += 0.125
    write_logits(run.folders["benchmark"], outputs)
    found = material(run)
    assert twins(found) == {}
    assert [name for name, _ in roc_curves(found).legend] == ["float", "quantised", "firmware"]


@pytest.mark.parametrize("factor", [1.0, 8.0])
def test_the_ratio_cuts_no_curve(factor: float) -> None:
    from matplotlib.figure import Figure

    from triggerforge.report.plots.roc import SIGNAL, Curve, _draw_ratio

    curves = [
        Curve(name, background, 0.1 * background, 100)
        for name, background in (
            ("float", SIGNAL),
            ("quantized", SIGNAL * np.linspace(factor, 0.6, len(SIGNAL))),
        )
    ]
    ax = Figure().add_subplot()
    _draw_ratio(ax, curves)
    low, high = ax.get_ylim()
    assert low < 0.6 and high > factor * 1.1
    assert ax.get_ylabel() == "ratio to float"
    assert (ax.get_yscale() == "log") is (factor > 3)
