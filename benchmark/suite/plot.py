"""The record of `make bench` as one figure: a column for each network."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from triggerforge.report import style
from triggerforge.report.figure import plain
from triggerforge.report.plots.latency import draw_latency
from triggerforge.runfolder import write_atomic

_PANEL = (4.4, 3.6)
_DPI = 120
_LINES = {"copy": "-", "bound": "--"}


def write_plots(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """bench.png and bench.pdf: above the time of a call at batch 1, below that of an event by batch.

    Nothing is drawn where nothing was timed.
    """
    names, engines = (
        list(dict.fromkeys(row[key] for row in record["latency"])) for key in ("network", "engine")
    )
    if not names:
        return []
    with matplotlib.rc_context(style.rc()):
        size = (_PANEL[0] * len(names), 2 * _PANEL[1])
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        axes = figure.subplots(2, len(names), squeeze=False)
        for name, (above, below) in zip(names, axes.T, strict=True):
            rows = [row for row in record["latency"] if row["network"] == name]
            draw_latency(above, [r for r in rows if r["batch"] == 1], None)
            above.set_title(plain(record["suite"]["networks"][name]["title"], 44), loc="left")
            above.set_xlabel("time of a call with one event [µs]")
            _draw_throughput(below, rows, engines)
        axes[0][0].legend(loc="lower left")
        lines = [
            Line2D([], [], color=style.class_color(place), label=plain(engine))
            for place, engine in enumerate(engines)
        ]
        title = "line: copy; dashed: bound"
        figure.legend(handles=lines, loc="outside lower center", ncols=8, title=title)
        return [_save(figure, folder / f"bench.{ending}") for ending in ("png", "pdf")]


def _draw_throughput(ax: Axes, rows: list[dict[str, Any]], engines: list[str]) -> None:
    for place, engine in enumerate(engines):
        for mode, line in _LINES.items():
            own = [r for r in rows if r["engine"] == engine and r["io"] == mode]
            batches = [r["batch"] for r in own]
            times = [1e3 * r["p50_us"] / r["batch"] for r in own]
            ax.plot(batches, times, line, color=style.class_color(place))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("events of a call")
    ax.set_ylabel("time of an event [ns]")


def _save(figure: Figure, path: Path) -> Path:
    buffer = io.BytesIO()
    ending = path.suffix[1:]
    metadata = {"CreationDate": None} if ending == "pdf" else {}
    figure.savefig(buffer, format=ending, dpi=_DPI, metadata=metadata)
    write_atomic(path, buffer.getvalue())
    return path
