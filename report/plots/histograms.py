"""Distributions of a quantity, one outline a class, as mplhep draws them."""

from typing import Any

import hist
import mplhep
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from triggerforge.report.figure import plain
from triggerforge.report.style import class_color

_FEWEST_BINS, _BINS = 10, 40
_TAIL = (
    0.2  # percent of the values left out at either end, so that one outlier does not set the axis
)


def edges(values: NDArray[Any]) -> NDArray[np.float64]:
    """Bin edges over the bulk of `values` (N,): one bin an integer where these are few integers.

    Fewer events have fewer bins, by the rule of Rice, 2 N^(1/3).
    """
    bins = int(np.clip(2 * len(values) ** (1 / 3), _FEWEST_BINS, _BINS))
    low, high = (float(v) for v in np.percentile(values, [_TAIL, 100 - _TAIL]))
    if low == high:
        low, high = low - 0.5, high + 0.5
    whole = np.array_equal(values, np.round(values))
    if whole and high - low <= 2 * _BINS:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.0)
    if whole:  # every bin holds as many integers as its neighbours
        step = int(np.ceil((high - low) / bins))
        return np.arange(np.floor(low) - 0.5, high + step, step)
    return np.linspace(low, high, bins + 1)


def density_label(unit: str) -> str:
    """Label of an axis on which outlines of unit area stand, of a quantity in `unit`."""
    return f"density [1/{plain(unit)}]" if unit not in ("", "1") else "density"


def outlines(
    ax: Axes,
    columns: list[tuple[NDArray[Any], NDArray[Any]]],
    classes: tuple[str, ...],
    bins: NDArray[np.float64],
) -> None:
    """Draws for each class its (values, weights) as an outline of unit area with error bars."""
    for label, (values, weights) in enumerate(columns):
        counts = hist.Hist(hist.axis.Variable(bins), storage=hist.storage.Weight())
        counts.fill(values, weight=weights)
        if counts.sum().value <= 0:
            continue
        area = counts.sum().value * np.diff(bins)
        mplhep.histplot(
            counts.values() / area,
            bins,
            yerr=np.sqrt(counts.variances()) / area,
            ax=ax,
            label=plain(classes[label]),
            color=class_color(label),
            linewidth=1.2,
        )
    ax.set_xlim(bins[0], bins[-1])
    ax.set_ylim(bottom=0)
