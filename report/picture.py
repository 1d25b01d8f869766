"""The run in one picture, for a README or a slide: python -m triggerforge.report.picture RUN OUT.png

RUN is a run's folder, with result.json in it. Four panels: ROC, Pareto front, parity with the size
of the firmware, latency. A panel whose stage was not run says so.
"""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from PIL import Image

from triggerforge.border import answer
from triggerforge.config.report import ReportConfig
from triggerforge.errors import TriggerForgeError
from triggerforge.firmware.parts import find_part
from triggerforge.progress import say
from triggerforge.report import style
from triggerforge.report.figure import plain, stamp
from triggerforge.report.material import MODELS, Material, NotRunError, gather
from triggerforge.report.numbers import count, finite, number, percent, share
from triggerforge.report.plots.latency import draw_latency
from triggerforge.report.plots.pareto import draw_pareto
from triggerforge.report.plots.roc import SIGNAL, curves
from triggerforge.report.quick import banner
from triggerforge.report.summary import engines
from triggerforge.report.tables.parity import verdict
from triggerforge.runfolder import read_json, write_atomic

_SIZE, _DPI = (11.0, 7.6), 140
_STAGES = ("data", "train", "compress", "export", "firmware", "benchmark")


def write_picture(run: Path, path: Path, config: ReportConfig | None = None) -> None:
    """Draws the run in the folder `run` to the PNG file `path`, whole or not at all.

    Raises ArtifactError if result.json is missing, damaged or of another version.
    """
    folders = {stage: run / stage for stage in _STAGES if (run / stage).is_dir()}
    material = gather(config or ReportConfig(), read_json(run / "result.json"), folders)
    with matplotlib.rc_context(style.rc()):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
        figure = Figure(figsize=_SIZE, layout=layout, facecolor="white")
        figure.suptitle(_headline(material), fontsize=13.5, fontweight="bold", color=style.INK)
        # rows of their own: the engines' long names must not squeeze the panel above them
        rows: NDArray[Any] = np.asarray(figure.subfigures(2, 1))
        axes = [ax for row in rows for ax in row.subplots(1, 2)]
        for ax, draw in zip(axes, _PANELS, strict=True):
            _panel(ax, draw, material)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white")
    write_atomic(path, _palette(buffer))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: gives back its exit status, 0 or 1."""
    parser = argparse.ArgumentParser(
        prog="python -m triggerforge.report.picture", description=__doc__
    )
    parser.add_argument("run", type=Path, help="folder of a run, such as runs/demo")
    parser.add_argument("out", type=Path, help="the PNG file to write")
    chosen = parser.parse_args(arguments)
    try:
        write_picture(chosen.run, chosen.out)
    except TriggerForgeError as error:
        say(f"error: {error}")
        return 1
    say(f"{chosen.out}: {chosen.out.stat().st_size / 1000:.0f} kB")
    return 0


def _palette(png: io.BytesIO) -> bytes:
    """The picture in 128 colours: a third of the size, and no difference to the eye."""
    small = io.BytesIO()
    with Image.open(png) as image:
        image.convert("RGB").quantize(128).save(small, format="png", optimize=True)
    return small.getvalue()


def _headline(material: Material) -> str:
    accuracy = [
        f"{percent(found.get('accuracy'), found.get('accuracy_err'))} {style.MODEL_NAMES[model]}"
        for model in MODELS
        if (found := material.get("metrics", model)) and "accuracy" in found
    ]
    ebops = finite(material.get("compression", "ebops"))
    twin = finite(material.get("compression", "ebops_uniform8"))
    parts = [f"accuracy {' → '.join(accuracy)}"] if accuracy else []
    parts += [f"{number(twin / ebops)}× fewer EBOPs than 8-bit"] if ebops and twin else []
    name = (
        f"{plain(material.name)} (quick run)" if banner(material.result) else plain(material.name)
    )
    return f"{name}: " + (", ".join(parts) or "nothing was run")


def _panel(ax: Axes, draw: Callable[[Axes, Material], None], material: Material) -> None:
    try:
        draw(ax, material)
    except NotRunError as error:
        ax.clear()
        ax.set_axis_off()
        words = f"not run: {plain(str(error), 60)}"
        ax.text(0.5, 0.5, words, ha="center", va="center", transform=ax.transAxes)


def _roc(ax: Axes, material: Material) -> None:
    last = [model for model in MODELS if model in material.scores][-1:]
    for label, name in enumerate(material.classes):
        for curve in curves(material, label):
            if curve.model == "float":
                color = style.class_color(label)
                ax.plot(SIGNAL, curve.background, color=color, label=plain(name))
            elif curve.model in last:
                low, high = curve.background - curve.error, curve.background + curve.error
                color = style.class_color(label)
                ax.fill_between(SIGNAL, low, high, color=color, alpha=0.2, linewidth=0)
                ax.plot(SIGNAL, curve.background, ":", color=color, linewidth=2)
    if not ax.lines:
        raise NotRunError("no model left scores of the test events")
    ax.set_yscale("log")
    ax.set_xlim(0, 1)
    ax.set_ylim(top=1)
    ax.set_xlabel("signal efficiency")
    ax.set_ylabel("background efficiency")
    others = f"; dotted: {style.MODEL_NAMES[last[0]]}" if last and last[0] != "float" else ""
    ax.legend(title=f"line: float{others}", title_fontsize=9.5, loc="lower right")
    stamp(ax, material.config)


def _pareto(ax: Axes, material: Material) -> None:
    draw_pareto(ax, material)
    ax.legend(loc="best")
    ax.set_ylabel(f"validation {material.measure} [%]")


def _latency(ax: Axes, material: Material) -> None:
    rows = [
        r
        for r in material.section("latency")
        if finite(r.get("p50_us")) and finite(r.get("batch")) == 1
    ]
    if not rows:
        raise NotRunError("no engine has a latency at batch 1")
    draw_latency(ax, rows, finite(material.get("resources", "latency_ns")))
    ax.legend(loc="lower left")
    ax.set_xlabel("time of a call with one event [µs]")


def _same_bits(ax: Axes, material: Material) -> None:
    """Text: each engine's parity, then the firmware's size and latency."""
    found = engines(material.section("parity"))
    judged = verdict(material.get("parity") or ())
    reference = str(material.section("parity")[0].get("reference"))
    lines = [(f"parity with {plain(reference)}: {judged.word}", style.INK, True)]
    colors = {"good": "#14713f", "bad": "#b3210f"}
    marks = {"good": "✓", "bad": "✗"}
    lines += [(f"{marks[e.tone]} {plain(e.name)}: {e.words}", colors[e.tone], False) for e in found]
    lines += [("", style.INK, False), *((text, style.INK, False) for text in _fabric(material))]
    ax.set_axis_off()
    step = min(0.105, 1.0 / len(lines))
    for i, (text, color, bold) in enumerate(lines):
        weight = "bold" if bold else "normal"
        y = 0.97 - i * step
        ax.text(
            0.03,
            y,
            text,
            color=color,
            fontsize=12.5,
            fontweight=weight,
            va="top",
            transform=ax.transAxes,
        )


def _fabric(material: Material) -> list[str]:
    record = material.get("resources")
    if record is None:
        return ["firmware: not run"]
    part = find_part(str(record.get("part", "")))
    slr = {k: getattr(part, k) / part.slr for k in ("lut", "ff")} if part else {}
    area = ", ".join(
        f"{count(record.get(k))} {k.upper()} ({share(record.get(k), slr.get(k))} of an SLR)"
        for k in ("lut", "ff")
    )
    timing = (
        f"{count(record.get('latency_cycles'))} cycles of {number(record.get('clock_ns'))} ns: "
        f"{number(record.get('latency_ns'), 4)} ns, II = {count(record.get('ii'))}"
    )
    blocks = f"{count(record.get('dsp'))} DSP, {count(record.get('bram'))} BRAM"
    where = f"{plain(str(record.get('part')))}, counted by {plain(str(record.get('method')))}"
    return [timing, area, f"{blocks}; {where}"]


_PANELS = (_roc, _pareto, _same_bits, _latency)

if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.report.picture"))
