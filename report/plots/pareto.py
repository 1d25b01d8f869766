"""The trade between accuracy and size, and the point that was chosen."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triggerforge.report.blocks import Plot
from triggerforge.report.figure import HALF, picture, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import count, counted, finite, number, percent
from triggerforge.report.style import COLORS, MODEL_COLORS, MUTED


def pareto(material: Material) -> Plot:
    """Accuracy, or overlap, against EBOPs: every point kept, the chosen one, the 8-bit twin."""
    record = material.section("compression")
    chosen, twin = finite(record.get("ebops")), finite(record.get("ebops_uniform8"))
    points = front(record.get("pareto"))
    if not len(points) and chosen is None:
        raise NotRunError("the compression left no Pareto front and no EBOPs")
    alt = (
        f"{material.measure.capitalize()} against EBOPs for {len(points)} points of the Pareto front; the chosen network "
        f"has {count(chosen)} EBOPs, the 8-bit uniform twin {count(twin)}"
    )
    size = f"{count(chosen)} EBOPs" if chosen is not None else "unknown size"
    fewer = f", {number(twin / chosen, 3)} times fewer than the twin" if twin and chosen else ""
    return Plot(
        (picture("pareto", lambda figure: _paint(figure, material), alt, size=(HALF, 3.9)),),
        f"{counted(len(points), 'network')} kept during quantisation-aware training. {_told(material)} "
        f"Star: the chosen one, {size}{fewer}. Dashed line and diamond: the same network with 8 bits "
        "for every weight and activation.",
        columns=1,
    )


def _told(material: Material) -> str:
    if material.measure == "overlap":
        return (
            "Overlap: of the background events that the float model accepts, how many the quantised one "
            "accepts at the same rate, averaged over rates; on the validation events."
        )
    found = [material.get("metrics", "quantized", key) for key in ("accuracy", "accuracy_err")]
    return (
        f"Accuracies are those of the validation events; on the test events the chosen one has "
        f"{percent(*found)}."
    )


def front(entries: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The finite (EBOPs, accuracy) of a Pareto record, by rising EBOPs: (points, 2)."""
    pairs = [(finite(e.get("ebops")), finite(e.get("accuracy"))) for e in entries or ()]
    kept = sorted((e, a) for e, a in pairs if e is not None and a is not None and e > 0)
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def draw_pareto(ax: Axes, material: Material) -> None:
    """Draws the front on `ax`; what is unknown is left out."""
    record = material.section("compression")
    points = front(record.get("pareto"))
    twin = finite(record.get("ebops_uniform8"))
    color = MODEL_COLORS["quantized"]
    if len(points):
        ax.plot(points[:, 0], 100 * points[:, 1], drawstyle="steps-post", color=color, alpha=0.45)
        ax.plot(
            points[:, 0], 100 * points[:, 1], "o", markersize=4, color=color, label="Pareto front"
        )
    _float_line(ax, finite(record.get("validation_accuracy_float")))
    _chosen(ax, record.get("chosen") or {})
    twin_accuracy = finite(record.get("uniform8_accuracy"))
    if twin is not None and twin > 0:
        if twin_accuracy is not None:
            ax.plot([twin], [100 * twin_accuracy], "D", markersize=6, color=MUTED)
        ax.axvline(twin, color=MUTED, linestyle="--", linewidth=1.2)
        ax.annotate(
            "8-bit uniform twin",
            (twin, 0.04),
            (-5, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="bottom",
            color=MUTED,
            fontsize=9.5,
        )
    ax.set_xscale("log")
    ax.set_xlabel("EBOPs")
    ax.set_ylabel(f"{material.measure} [%]")


def _float_line(ax: Axes, accuracy: float | None) -> None:
    if accuracy is not None:
        ax.axhline(100 * accuracy, color=MODEL_COLORS["float"], linewidth=1.2, label="float")


def _chosen(ax: Axes, chosen: Mapping[str, Any]) -> None:
    ebops, accuracy = finite(chosen.get("ebops")), finite(chosen.get("accuracy"))
    if ebops is not None and accuracy is not None:
        ax.plot([ebops], [100 * accuracy], "*", markersize=13, color=COLORS[2], label="chosen")


def _paint(figure: Figure, material: Material) -> None:
    ax = figure.add_subplot()
    draw_pareto(ax, material)
    ax.legend(loc="best")
    stamp(ax, material.config)
