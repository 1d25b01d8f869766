"""The background rate against the threshold on the score, with its error band and working points."""

from collections.abc import Mapping
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import THIRD, picture, stamp
from triggerforge.report.material import MODELS, Material, NotRunError
from triggerforge.report.numbers import count, number, with_error
from triggerforge.report.sameness import drawn, legend
from triggerforge.report.style import INK, MODEL_COLORS, MODEL_NAMES, MUTED


def rate_threshold(material: Material) -> Plot:
    """One picture a model: float, quantised, firmware."""
    curves = drawn_curves(material)
    models = drawn(material, list(curves))
    pictures = tuple(_picture(material, model, curves[model]) for model in models)
    record = material.section("trigger")
    events = record.get("background_events") or {}
    counts = ", ".join(f"{MODEL_NAMES[m]} {count(events.get(m))}" for m in curves)
    smallest = record.get("smallest_rate_khz") or {}
    least = ", ".join(f"{MODEL_NAMES[m]} {number(smallest.get(m))} kHz" for m in curves)
    return Plot(
        pictures,
        f"Rate of background events with score ≥ threshold, out of {number(record.get('crossings_khz'), 6)} "
        f"kHz of bunch crossings. Band: 68.3 % interval, statistical; crosses: working points; dotted: "
        f"their target rates, with the 68.3 % interval of the threshold that has this true rate. Background events: {counts}. Drawn down to the smallest rate "
        f"that the sample supports: {least}.",
        legend=legend(material, list(curves)),
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
    # on a grid a threshold between two scores does what the higher one does
    step: Literal["pre"] | None = (
        "pre" if model in (material.get("trigger", "formats") or {}) else None
    )
    band = (x, curve["low_khz"], curve["high_khz"])
    ax.fill_between(*band, color=color, alpha=0.25, linewidth=0, step=step)
    ax.plot(x, curve["rate_khz"], color=color, drawstyle="steps-pre" if step else "default")
    for row in points_of(material, model):
        ax.axhline(row["target_khz"], color=MUTED, linestyle=":", linewidth=0.8)
        high = row["threshold_high"]
        ends = [row["threshold_low"], row["threshold"] if high is None else high]
        if ends[0] < ends[1]:
            ax.plot(ends, [row["target_khz"]] * 2, color=INK, linewidth=1.0)
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
