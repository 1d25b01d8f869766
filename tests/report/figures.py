"""A look at every figure of a report: what is written on its axes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from matplotlib.figure import Figure

from triggerforge.report import figure as drawing

SCALES = ("efficiency", "ratio to", "loss", "EBOPs", "density", "threshold", "column", "row")
CATEGORIES = (
    "class",
    "layer",
    "engine",
    "resource",
    "epoch",
    "events",
    "of the rate of",
    "mean of x",
)
NO_UNIT = (*SCALES, *CATEGORIES)
"""what axes may say without a unit: pure numbers and names"""


@contextmanager
def figures_drawn() -> Iterator[list[Figure]]:
    """The matplotlib figures that are drawn inside; they are not written as SVG, which takes time."""
    found: list[Figure] = []

    def keep(figure: Figure) -> str:
        found.append(figure)
        return "<svg></svg>"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_svg", keep)
        yield found


def require_labels(figures: list[Figure], names: tuple[str, ...] = ()) -> None:
    """Every axis that has ticks has a label: with its unit, or of a kind that has none.

    `names`: observables of which nobody knows a unit.
    """
    assert figures
    for axes in (axes for figure in figures for axes in figure.axes if axes.axison):
        shared = axes.get_shared_x_axes().get_siblings(axes)
        x = axes.get_xlabel() or next((a.get_xlabel() for a in shared if a.get_xlabel()), "")
        y = axes.get_ylabel()
        if hasattr(axes, "_colorbar"):
            x = y
        for label in (x, y):
            assert label.strip(), f"an axis without a label: {x!r}, {y!r} in {axes.get_title()!r}"
            has_unit = "[" in label and label.rstrip().endswith("]")
            assert has_unit or any(word in label for word in (*NO_UNIT, *names)), label
