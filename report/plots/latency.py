"""How long one call takes, engine by engine."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triggerforge.report.blocks import Plot
from triggerforge.report.figure import picture, plain, stamp
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import DASH, count, finite, microseconds
from triggerforge.report.style import COLORS, MODEL_COLORS

_QUANTILES = (("p50_us", "p50", "o"), ("p99_us", "p99", "|"), ("p999_us", "p99.9", "x"))


def latency(material: Material) -> Plot:
    """One picture for each batch size: p50, p99 and p99.9 of a call, on a logarithmic axis."""
    rows = [r for r in material.section("latency") if finite(r.get("p50_us"))]
    if not rows:
        raise NotRunError("no engine has a measured latency")
    pictures = []
    for batch in sorted({finite(r.get("batch")) or 0 for r in rows}):
        chosen = [r for r in rows if (finite(r.get("batch")) or 0) == batch]
        words = "; ".join(f"{engine_label(r)} {microseconds(r['p50_us'])}" for r in chosen)

        def paint(
            figure: Figure, chosen: list[Mapping[str, Any]] = chosen, batch: float = batch
        ) -> None:
            ax = figure.add_subplot()
            draw_latency(ax, chosen, _fabric_ns(material) if batch == 1 else None)
            ax.set_title(f"batch {count(batch)}", loc="left")
            ax.legend(loc="lower left")
            stamp(ax, material.config)

        alt = f"Latency of a call with {count(batch)} events, median: {words}"
        size = (5.8, 1.9 + 0.31 * len(chosen))
        pictures.append(picture(f"latency-{count(batch)}", paint, alt, size=size))
    calls = [int(c) for r in rows if (c := finite(r.get("calls")))]
    spread = " to ".join(f"{n:,}" for n in sorted({min(calls), max(calls)})) if calls else DASH
    return Plot(
        tuple(pictures),
        f"Wall-clock time of one call, one thread, {spread} calls a row; the calls of the engines alternate. "
        "Diamond: cycles times clock period of the RTL, no wall-clock time.",
        columns=2,
    )


def engine_label(row: Mapping[str, Any]) -> str:
    """Engine, model and input-output mode of a latency row, in a few words."""
    io = ", bound" if row.get("io") == "bound" else ""
    model = "" if row.get("model") in (None, "float") else ", quantised"
    engine = str(row.get("engine", "?"))
    model = "" if "quantized" in engine else model
    device = row.get("device")
    where = f", {device}" if device not in (None, "", "cpu") else ""
    return f"{engine.replace('quantized', 'quantised')}{model}{io}{where}"


def draw_latency(ax: Axes, rows: Sequence[Mapping[str, Any]], fabric_ns: float | None) -> None:
    """Draws the rows' quantiles on `ax`, fastest on top; `fabric_ns` is the RTL's latency in ns."""
    ordered = sorted(rows, key=lambda r: float(r["p50_us"]))
    names = [engine_label(r) for r in ordered]
    if fabric_ns is not None:
        names.insert(0, "RTL (cycles × clock)")
        ax.plot([fabric_ns / 1e3], [0], "D", color=MODEL_COLORS["firmware"])
    for y, row in enumerate(ordered, start=len(names) - len(ordered)):
        color = MODEL_COLORS["float" if row.get("model") == "float" else "quantized"]
        ends = [v for key, _, _ in _QUANTILES if (v := finite(row.get(key))) is not None]
        ax.plot([min(ends), max(ends)], [y, y], color=color, linewidth=3, alpha=0.3)
        for key, _, marker in _QUANTILES:
            value = finite(row.get(key))
            if value is not None:
                ax.plot([value], [y], marker, color=color, markersize=6.5)
    for _, label, marker in _QUANTILES:
        ax.plot([], [], marker, color=COLORS[8], label=label)
    ax.set_yticks(range(len(names)), [plain(n, 34) for n in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", which="both", length=0)
    ax.set_xscale("log")
    ax.set_xlabel("time of a call [µs]")
    ax.set_ylabel("engine")


def _fabric_ns(material: Material) -> float | None:
    return finite(material.get("resources", "latency_ns"))
