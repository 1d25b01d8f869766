"""Quantities by epoch, as both trainings leave them."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from triggerforge.report.blocks import Picture
from triggerforge.report.figure import picture, plain, stamp
from triggerforge.report.material import Material
from triggerforge.report.numbers import finite, number
from triggerforge.report.style import COLORS

History = Sequence[Mapping[str, Any]]
_LINES = (COLORS[0], COLORS[6], COLORS[4])


def by_epoch(
    material: Material,
    history: History,
    columns: Mapping[str, str],
    label: str,
    size: tuple[float, float],
    log: bool = False,
    scale: float = 1.0,
) -> Picture | None:
    """Draws the history's `columns` (key to name in the legend); None where it holds none of them.

    Epochs without a finite value of a column are left out. `log`: a logarithmic axis, where the
    values differ by more than a factor of four; `scale` multiplies them.
    """
    lines = {
        name: points for key, name in columns.items() if (points := _points(history, key, scale))
    }
    if not lines:
        return None

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        for color, (name, points) in zip(_LINES, lines.items(), strict=False):
            x, y = zip(*points, strict=True)
            ax.plot(x, y, color=color, marker="o", markersize=2.5, label=plain(name))
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylabel(label)
        values = [y for points in lines.values() for _, y in points]
        if log and min(values) > 0 and max(values) > 4 * min(values):
            ax.set_yscale("log")
        if len(lines) > 1:
            ax.legend()
        stamp(ax, material.config)

    last = "; ".join(f"{name} {number(points[-1][1], 4)}" for name, points in lines.items())
    return picture(
        f"epochs-{next(iter(columns))}-{label}", paint, f"{label}: last {last}", size=size
    )


def _points(history: History, key: str, scale: float) -> list[tuple[int, float]]:
    """(epoch from 1, value times `scale`) of every epoch with a finite value."""
    return [
        (i + 1, value * scale)
        for i, epoch in enumerate(history)
        if (value := finite(epoch.get(key))) is not None
    ]
