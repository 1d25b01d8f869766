"""Signal efficiency against the background rate: a ROC curve whose axis is in kHz."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import THIRD, picture, plain, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import percent
from triggerforge.report.plots.rate_threshold import drawn_curves, points_of
from triggerforge.report.sameness import drawn, legend
from triggerforge.report.style import DASHES, MODEL_COLORS, MODEL_NAMES

_FEW = 30
Curves = Mapping[str, Mapping[str, Any]]


def rate_roc(material: Material) -> Plot:
    """One picture a signal, all models in it."""
    every = drawn_curves(material)
    curves = {m: every[m] for m in drawn(material, list(every))}
    signals = list(dict.fromkeys(n for curve in curves.values() for n in curve["efficiency"]))
    if not signals:
        raise NotRunError("no class is a signal")
    return Plot(
        tuple(_picture(material, i, name, curves) for i, name in enumerate(signals)),
        "Efficiency of each signal at the threshold that gives the rate, for score ≥ threshold. Bars: "
        "68.3 % intervals at the working points, of the efficiency and of the rate.",
        legend=legend(material, list(every)),
    )


def _picture(material: Material, index: int, name: str, curves: Curves) -> Picture:
    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        for model, curve in curves.items():
            y = 100 * np.asarray(curve["efficiency"][name])
            # a coarse score has these points alone, and nothing between them
            marker = "." if len(y) <= _FEW else ""
            color = MODEL_COLORS[model]
            ax.plot(curve["rate_khz"], y, DASHES[model], color=color, marker=marker)
            for row in points_of(material, model):
                _bar(ax, row, name, MODEL_COLORS[model])
        ax.set_xscale("log")
        positive = [e for c in curves.values() for e in c["efficiency"][name] if e > 0]
        if positive and min(positive) < 0.03:
            ax.set_yscale("log")
            ax.set_ylim(50 * min(positive), 150)
        ax.set_xlabel("rate [kHz]")
        ax.set_ylabel("efficiency [%]")
        ax.text(0.05, 0.93, plain(name), transform=ax.transAxes, va="top", fontweight="bold")
        stamp(ax, material.config)

    words = [
        f"{MODEL_NAMES[m]} at {r['target_khz']:g} kHz: "
        f"{percent(r['efficiency'].get(name), r['efficiency_err'].get(name))}"
        for m in curves
        for r in points_of(material, m)
    ]
    alt = f"Efficiency of {name} against rate. {'; '.join(words)}"
    return picture(f"rate-roc-{index}", paint, alt, size=(THIRD, 3.4))


def _bar(ax: Any, row: Mapping[str, Any], name: str, color: str) -> None:
    value, rate = row["efficiency"].get(name), row["rate_khz"]
    if value is None:
        return
    ends = [[value - row["efficiency_low"][name]], [row["efficiency_high"][name] - value]]
    rates = [[rate - row["rate_low_khz"]], [row["rate_high_khz"] - rate]]
    ax.errorbar([rate], [100 * value], 100 * np.array(ends), rates, "o", color=color, markersize=3)
