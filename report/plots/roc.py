"""Background efficiency against signal efficiency, float, quantised and firmware side by side."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from triggerforge.data.weights import rising
from triggerforge.report.blocks import Picture, Plot
from triggerforge.report.figure import THIRD, picture, plain, stamp
from triggerforge.report.material import MODELS, Material, NotRunError
from triggerforge.report.sameness import drawn, legend
from triggerforge.report.style import DASHES, MODEL_COLORS, MODEL_NAMES
from triggerforge.training.metrics import scores
from triggerforge.training.task import Task

SIGNAL = np.linspace(0.02, 1.0, 99)
"""signal efficiencies at which the curves are drawn"""
_FEWEST = 5
"""background events that must pass for a point to be drawn"""
_WIDE = 3.0
"""the ratio's axis is logarithmic where a curve with its band is further than this factor from 1"""


@dataclass(frozen=True)
class Curve:
    """Background efficiency ε_B with its statistical error at the signal efficiencies SIGNAL."""

    model: str
    background: NDArray[np.float64]
    error: NDArray[np.float64]
    events: int


def roc_curves(material: Material) -> Plot:
    """One picture a class, the class against all others, with the ratio to the float model.

    Of an anomaly score one a signal, the signal against background.
    """
    per_class = {c: curves(material, c) for c in range(len(material.classes))}
    with_curves = {c: found for c, found in per_class.items() if found}
    if not with_curves:
        raise NotRunError("no model left scores of the test events")
    events = {x.model: x.events for found in with_curves.values() for x in found}
    models = drawn(material, list(events))
    pictures = tuple(
        _picture(material, c, [x for x in found if x.model in models])
        for c, found in with_curves.items()
    )
    counts = ", ".join(f"{MODEL_NAMES[m]} {n:,}" for m, n in events.items())
    missing = [MODEL_NAMES[m] for m in MODELS if m not in events]
    absent = f" Not run: {', '.join(missing)}." if missing else ""
    return Plot(
        pictures,
        f"{_told(material)} Bands: one standard deviation, statistical. Below: ratio to the {MODEL_NAMES[models[0]]} "
        f"model's background efficiency. Drawn where at least {_FEWEST} background events pass. Test events: {counts}.{absent}",
        legend=legend(material, list(events)),
    )


def _told(material: Material) -> str:
    if material.background:
        names = ", ".join(material.background)
        return f"Signal: the named class; background: {names}; discriminant: the anomaly score."
    return (
        "Signal: the named class; background: all other classes; discriminant: the log-odds of its "
        "softmax."
    )


def curves(material: Material, label: int) -> list[Curve]:
    """The curves of class `label`, one a model that left scores and has events of both kinds.

    Of an anomaly score none for background, and other signals take no part.
    """
    test, task = material.test(), Task.of(material.require_splits())
    if material.classes[label] in task.background:
        return []
    found = []
    for model, outputs in material.scores.items():
        y, weight = test.y[: len(outputs)], test.weight[: len(outputs)].astype(np.float64)
        signal = y == label
        others = task.is_background(y) if task.scores else ~signal
        if weight[signal].sum() > 0 and weight[others].sum() > 0:
            score = outputs[:, 0].astype(np.float64) if task.scores else scores(outputs, label)
            kept = signal | others
            background, error = background_efficiency(score[kept], signal[kept], weight[kept])
            found.append(Curve(model, background, error, len(outputs)))
    return found


def background_efficiency(
    score: NDArray[np.float64], signal: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ε_B and its error at the signal efficiencies SIGNAL; NaN where too few background pass.

    `score`, `signal`, `weight`: (N,) each. The error is that of a weighted binomial fraction,
    sqrt((1-ε)² Σ_pass w² + ε² Σ_fail w²) / Σ w.
    """
    order = np.argsort(-score[signal], kind="stable")
    passed = rising(np.concatenate([[0.0], np.cumsum(weight[signal][order])]))[1:]
    reached = np.searchsorted(passed, SIGNAL * passed[-1] * (1 - 1e-12))
    thresholds = score[signal][order][np.minimum(reached, len(order) - 1)]
    order = np.argsort(-score[~signal], kind="stable")
    falling, weights = -score[~signal][order], weight[~signal][order]
    sums = rising(np.concatenate([[0.0], np.cumsum(weights)]))
    squares = np.concatenate([[0.0], np.cumsum(weights**2)])
    count = np.searchsorted(falling, -thresholds, side="right")
    efficiency = sums[count] / sums[-1]
    variance = (1 - efficiency) ** 2 * squares[count]
    variance += efficiency**2 * (squares[-1] - squares[count])
    error = np.sqrt(variance) / sums[-1]
    enough = count >= _FEWEST
    return np.where(enough, efficiency, np.nan), np.where(enough, error, np.nan)


def draw_roc(ax: Axes, found: list[Curve]) -> None:
    """Draws the curves with their error bands on `ax`, background on a logarithmic axis."""
    for curve in found:
        color, dashes = MODEL_COLORS[curve.model], DASHES[curve.model]
        low, high = curve.background - curve.error, curve.background + curve.error
        ax.fill_between(SIGNAL, low, high, color=color, alpha=0.18, linewidth=0)
        label = MODEL_NAMES[curve.model]
        ax.plot(SIGNAL, curve.background, dashes, color=color, label=label)
    ax.set_yscale("log")
    ax.set_xlim(0, 1)
    ax.set_ylim(top=1)


def _picture(material: Material, label: int, found: list[Curve]) -> Picture:
    name = material.classes[label]

    def paint(figure: Figure) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        draw_roc(top, found)
        top.set_ylabel("background efficiency")
        top.text(0.05, 0.93, plain(name), transform=top.transAxes, va="top", fontweight="bold")
        _draw_ratio(bottom, found)
        bottom.set_xlabel("signal efficiency")
        stamp(top, material.config)

    half = int(np.argmin(np.abs(SIGNAL - 0.5)))
    words = ", ".join(f"{MODEL_NAMES[c.model]} {c.background[half]:.2g}" for c in found)
    against = ", ".join(material.background) or "the others"
    alt = f"ROC of class {name} against {against}; background at signal efficiency 0.5: {words}"
    return picture(f"roc-{label}", paint, alt, size=(THIRD, 4.3))


def _draw_ratio(ax: Axes, found: list[Curve]) -> None:
    reference = found[0].background
    ratios = {curve.model: curve.background / reference for curve in found}
    errors = {curve.model: curve.error / reference for curve in found}
    for model, ratio in ratios.items():
        color, error = MODEL_COLORS[model], errors[model]
        ax.fill_between(SIGNAL, ratio - error, ratio + error, color=color, alpha=0.18, linewidth=0)
        ax.plot(SIGNAL, ratio, DASHES[model], color=color)
    _span(ax, [(ratios[m], errors[m]) for m in ratios])
    ax.set_ylabel(f"ratio to {MODEL_NAMES[found[0].model]}", loc="center")


def _span(ax: Axes, curves: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> None:
    """An axis of ratios that cuts no curve: with its bands, or logarithmic where they spread far."""
    ratio, error = (np.concatenate(parts) for parts in zip(*curves, strict=True))
    there = np.isfinite(ratio) & np.isfinite(error) & (ratio > 0)
    tops, bottoms = (ratio + error)[there], (ratio - error)[there]
    high = max(1.15, 1.03 * float(tops.max(initial=1.0)))
    low = min(0.85, 0.97 * float(bottoms.min(initial=1.0)))
    if high > _WIDE or low < 1 / _WIDE:
        low = min(0.7, 0.8 * float(ratio[there].min(initial=1.0)))
        ax.set_yscale("log")
    ax.set_ylim(low, high)
