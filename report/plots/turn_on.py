"""Efficiency of the working points against quantities of the event."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import THIRD, picture, plain, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import number
from triggerforge.report.plots.observables import axis_label
from triggerforge.report.style import COLORS

_MOST = 12
_MARKS = "osDv^<>P"
Curve = Mapping[str, Any]


def turn_on(material: Material) -> Plot:
    """One picture a signal and observable, one curve a working point."""
    curves: Sequence[Curve] = material.section("trigger", "turn_on")
    pairs = list(dict.fromkeys((c["observable"], c["signal"]) for c in curves))
    if not pairs:
        raise NotRunError("there is no working point, signal or observable for a turn-on curve")
    targets = sorted({c["target_khz"] for c in curves})
    left = f" {len(pairs) - _MOST} further ones are in result.json." if len(pairs) > _MOST else ""
    return Plot(
        tuple(
            _picture(material, i, curves, targets, *pair) for i, pair in enumerate(pairs[:_MOST])
        ),
        "Efficiency of the working points of the model nearest to the hardware in bins of an "
        f"observable. Bars: 68.3 % intervals.{left}",
        legend=tuple((f"target {t:g} kHz", _color(targets, t)) for t in targets),
    )


def _picture(
    material: Material,
    index: int,
    curves: Sequence[Curve],
    targets: Sequence[float],
    observable: str,
    signal: str,
) -> Picture:
    mine = [c for c in curves if c["observable"] == observable and c["signal"] == signal]

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        for curve in mine:
            edges = np.asarray(curve["edges"])
            y, low, high = (
                100 * np.array([np.nan if v is None else v for v in curve[key]])
                for key in ("efficiency", "low", "high")
            )
            there = np.isfinite(y)
            ax.errorbar(
                ((edges[:-1] + edges[1:]) / 2)[there],
                y[there],
                np.array([y - low, high - y])[:, there],
                fmt=_MARKS[targets.index(curve["target_khz"]) % len(_MARKS)] + "-",
                markersize=3,
                linewidth=0.8,
                color=_color(targets, curve["target_khz"]),
            )
        ax.set_ylim(-3, 113)
        ax.set_xlabel(axis_label(observable))
        ax.set_ylabel("efficiency [%]")
        ax.text(0.05, 0.95, plain(signal), transform=ax.transAxes, va="top", fontweight="bold")
        stamp(ax, material.config)

    ends = "; ".join(
        f"{c['target_khz']:g} kHz: {number(_last(c))} in the last bin with events" for c in mine
    )
    alt = f"Efficiency of {signal} against {observable}. {ends}"
    return picture(f"turn-on-{index}", paint, alt, size=(THIRD, 3.0))


def _last(curve: Curve) -> float | None:
    there = [value for value in curve["efficiency"] if value is not None]
    return there[-1] if there else None


def _color(targets: Sequence[float], target: float) -> str:
    return COLORS[list(targets).index(target) % len(COLORS)]
