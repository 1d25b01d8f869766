"""Labels of axes are plain characters."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from triggerforge.report.ticks import plain_ticks


def labels(scale: str, values: list[float]) -> list[str]:
    figure = Figure()
    ax = figure.add_subplot()
    ax.plot(values, values)
    ax.set_xscale(scale)
    plain_ticks(figure)
    figure.draw_without_rendering()
    axis = ax.xaxis
    found = [t.get_text() for t in (*axis.get_ticklabels(), *axis.get_minorticklabels())]
    return [*found, axis.get_offset_text().get_text()]


@pytest.mark.parametrize(
    ("scale", "values", "wanted"),
    [
        ("log", [1e-5, 1e2], "10⁻⁵"),
        ("log", [0.2, 0.7], "2×10⁻¹"),
        ("linear", [0.0, 2e-5], "×10⁻⁵"),
        ("linear", [0.0, 3e7], "×10⁷"),
        ("linear", [0.0, 1.0], "0.4"),
    ],
)
def test_powers_have_raised_digits(scale: str, values: list[float], wanted: str) -> None:
    found = labels(scale, values)
    assert any(wanted in label for label in found), found
    assert not any(c in label for label in found for c in "${}\\^"), found


def test_a_formatter_of_the_plots_own_stays() -> None:
    figure = Figure()
    ax = figure.add_subplot()
    ax.set_xticks(np.arange(2), ["a", "b"])
    plain_ticks(figure)
    figure.draw_without_rendering()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
