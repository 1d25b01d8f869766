"""The background rate against the threshold on the score, with its error band and working points."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import THIRD, picture, stamp
from triggerforge.report.material import MODELS, Material, NotRunError
from triggerforge.report.numbers import count, number, with_error
from triggerforge.report.style import INK, MODEL_COLORS, MODEL_NAMES, MUTED


def rate_threshold(material: Material) -> Plot:
    """One picture a model: float, quantised, firmware."""
    curves = drawn_curves(material)
    pictures = tuple(_picture(material, model, curve) for model, curve in curves.items())
    record = material.section("trigger")
    events = record.get("background_events") or {}
    counts = ", ".join(f"{MODEL_NAMES[m]} {count(events.get(m))}" for m in curves)
    smallest = record.get("smallest_rate_khz") or {}
    least = ", ".join(f"{MODEL_NAMES[m]} {number(smallest.get(m))} kHz" for m in curves)
    return Plot(
        pictures,
        f"Rate of background events with score ≥ threshold, out of {number(record.get('crossings_khz'), 6)} "
        f"kHz of bunch crossings. Band: 68.3 % interval, statistical; crosses: working points, with the "
        f"68.3 % interval of the threshold. Background events: {counts}. Drawn down to the smallest rate "
        f"that the sample supports: {least}.",
        legend=tuple((MODEL_NAMES[m], MODEL_COLORS[m]) for m in curves),
    )


def drawn_curves(material: Material) -> dict[str, Mapping[str, Any]]:
    """The curves of the record, by model, in the usual order; raises NotRunError if there are none."""
    record = material.section("trigger", "curves")
    found = {m: record[m] for m in MODELS if m in record}
    if not found:
        raise NotRunError("no model has enough background for a rate")
    return found


def points_of(material: Material, model: str) -> list[Mapping[str, Any]]:
    """The model's working points."""
    return [row for row in material.get("rates") or () if row.get("model") == model]


def draw_rate(ax: Axes, material: Material, model: str, curve: Mapping[str, Any]) -> None:
    """Draws one model's rate with band and working points, the rate on a logarithmic axis."""
    color = MODEL_COLORS[model]
    x = curve["threshold"]
    ax.fill_between(x, curve["low_khz"], curve["high_khz"], color=color, alpha=0.25, linewidth=0)
    ax.plot(x, curve["rate_khz"], color=color)
    for row in points_of(material, model):
        ax.axhline(row["target_khz"], color=MUTED, linestyle=":", linewidth=0.8)
        high = row["threshold_high"]
        ends = [row["threshold_low"], row["threshold"] if high is None else high]
        ax.plot(ends, [row["rate_khz"]] * 2, color=INK, linewidth=1.0)
        ax.plot([row["threshold"]], [row["rate_khz"]], "P", color=INK, markersize=5)
    ax.set_yscale("log")


def _picture(material: Material, model: str, curve: Mapping[str, Any]) -> Picture:
    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        draw_rate(ax, material, model, curve)
        ax.set_xlabel("threshold on the score")
        ax.set_ylabel("rate [kHz]")
        ax.set_title(MODEL_NAMES[model], color=INK, loc="left")
        stamp(ax, material.config)

    points = "; ".join(
        f"{number(r['target_khz'])} kHz at {number(r['threshold'], 5)}: "
        f"{with_error(r['rate_khz'], r['rate_err_khz'], 'kHz')}"
        for r in points_of(material, model)
    )
    alt = f"Rate against threshold, {MODEL_NAMES[model]} model. Working points: {points or 'none'}"
    return picture(f"rate-{model}", paint, alt, size=(THIRD, 3.4))
