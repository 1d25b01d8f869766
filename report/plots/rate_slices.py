"""The rate at the working points against pile-up and time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import HALF, picture, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import number
from triggerforge.report.plots.observables import axis_label
from triggerforge.report.style import COLORS


def rate_slices(material: Material) -> Plot:
    """One picture for pile-up and one for time, where the configuration names them."""
    kinds = {kind: material.get("trigger", kind) for kind in ("pileup", "time")}
    drawn = {kind: rows for kind, rows in kinds.items() if rows}
    if not drawn:
        raise NotRunError("neither trigger.pileup nor trigger.time names an observable")
    targets = [row["target_khz"] for row in next(iter(drawn.values()))]
    return Plot(
        tuple(_picture(material, kind, rows) for kind, rows in drawn.items()),
        "Rate at fixed thresholds if all crossings were as those of the slice; slices hold equal "
        "numbers of background events. Bars: 68.3 % intervals; p: of one rate in all slices.",
        legend=tuple((f"target {t:g} kHz", COLORS[i % len(COLORS)]) for i, t in enumerate(targets)),
        columns=2,
    )


def _picture(material: Material, kind: str, rows: Sequence[Mapping[str, Any]]) -> Picture:
    name = str(rows[0]["observable"])

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        for i, row in enumerate(rows):
            edges, y = np.asarray(row["edges"]), np.asarray(row["rate_khz"])
            ends = np.array([y - np.asarray(row["low_khz"]), np.asarray(row["high_khz"]) - y])
            centers, half = (edges[:-1] + edges[1:]) / 2, np.diff(edges) / 2
            # a slice without a passing event is drawn as its upper end alone
            ax.errorbar(centers, y, ends, half, "o", color=COLORS[i % len(COLORS)], markersize=3)
        ax.set_yscale("log")
        ax.set_xlabel(axis_label(name))
        ax.set_ylabel("rate [kHz]")
        stamp(ax, material.config)

    words = "; ".join(f"{r['target_khz']:g} kHz: p = {number(r['p_value'])}" for r in rows)
    alt = f"Rate against {name}. {words}"
    return picture(f"rate-slices-{kind}", paint, alt, caption=words, size=(HALF, 3.2))
