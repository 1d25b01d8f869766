"""The first lines of the report: what ran, whether every engine agrees, and the key figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triggerforge.firmware.parts import find_part
from triggerforge.reasons import said_once
from triggerforge.report.blocks import Table
from triggerforge.report.material import MODELS, Material, not_run
from triggerforge.report.numbers import (
    DASH,
    count,
    counted,
    finite,
    microseconds,
    number,
    percent,
    share,
)
from triggerforge.report.plots.latency import engine_label
from triggerforge.report.quality import (
    auc_range,
    chance,
    minus_float,
    no_better_than_chance,
    quality_line,
    signed,
)
from triggerforge.report.quick import banner
from triggerforge.report.style import MODEL_NAMES
from triggerforge.report.tables.parity import Verdict, has_to_be_exact, is_exact, verdict
from triggerforge.report.tables.provenance import mixture
from triggerforge.report.tables.working_points import headline


@dataclass(frozen=True)
class Tile:
    """A key figure: `lines` are (figure, what it is)."""

    title: str
    lines: tuple[tuple[str, str], ...]
    note: str = ""


@dataclass(frozen=True)
class Engine:
    """One engine's parity in a few words, its inputs taken together."""

    name: str
    tone: str
    words: str


@dataclass(frozen=True)
class Summary:
    """What stands above the first section."""

    sentence: str
    verdict: Verdict
    engines: tuple[Engine, ...]
    tiles: tuple[Tile, ...]
    missed_budget: str
    quick: tuple[str, ...]
    """the banner of a quick run; empty for a whole one"""
    warnings: tuple[tuple[str, str], ...]
    """(headline, what it is) of what a reader must know before the figures"""
    working_points: Table | None
    """of the model nearest to the hardware; None without rates"""


def summarize(material: Material) -> Summary:
    """The summary; figures that are missing are dashes."""
    return Summary(
        sentence=_sentence(material),
        verdict=verdict(material.get("parity") or ()),
        engines=engines(material.get("parity") or ()),
        tiles=(_quality(material), _size(material), _fabric(material), _area(material))
        + _software(material),
        missed_budget=str(material.get("compression", "target_missed") or ""),
        quick=banner(material.result),
        warnings=tuple(_warnings(material)),
        working_points=headline(material),
    )


def reasons(material: Material, blocks: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What was not run, by the record and by the `blocks` of the page without it: each reason once."""
    recorded = [
        (what, why) for what, why in not_run(material.result) if not what.startswith("trigger.")
    ]
    return said_once([*recorded, *blocks])


def _warnings(material: Material) -> Iterator[tuple[str, str]]:
    poor = [
        MODEL_NAMES[m] for m in MODELS if no_better_than_chance(material.get("metrics", m) or {})
    ]
    if poor:
        line = quality_line(material.result)
        told = "" if banner(material.result) else f"{line[:1].upper()}{line[1:]}."
        yield f"No better than chance: {', '.join(poor)}.", told
    if mixed := mixture(material):
        yield "Mixed software.", mixed


def _sentence(material: Material) -> str:
    network, classes = material.get("training", "model"), material.classes
    told = material.get("data", "events")
    parts = list(told.values()) if isinstance(told, Mapping) else [told]
    events = None if None in map(finite, parts) else sum(parts)
    what = f"Network {network}" if network else "A network"
    told = f" that tells {', '.join(classes)} apart" if classes else ""
    if material.background:
        told = f" that scores how unlike {', '.join(material.background)} an event is"
    seen = f", from {count(events)} events" if events is not None else ""
    return f"{what}{told}{seen}: trained, quantised, built as firmware, and compared bit by bit."


def engines(rows: Any) -> tuple[Engine, ...]:
    """One entry an engine out of the parity rows, tests and corner inputs taken together."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for entry in rows:
        by_name.setdefault(str(entry.get("candidate", "?")), []).append(entry)
    return tuple(_engine(name, entries) for name, entries in by_name.items())


def _engine(name: str, entries: list[Mapping[str, Any]]) -> Engine:
    events = sum(int(finite(e.get("events")) or 0) for e in entries)
    wrong = sum(finite(e.get("mismatches")) or 0 for e in entries if not is_exact(e))
    if not all(map(is_exact, entries)):
        return Engine(name, "bad", f"{count(wrong)} mismatches, {events:,} inputs")
    how = "exact"
    if not all(map(has_to_be_exact, entries)):
        furthest = max(finite(e.get("max_lsb")) or 0.0 for e in entries)
        how = f"within {number(furthest)} LSB of {entries[0].get('reference')}"
    return Engine(name, "good", f"{how}, {events:,} inputs")


def _quality(material: Material) -> Tile:
    """Accuracy; of an anomaly score the range of the signals' AUC."""
    scored = bool(material.background)
    base = chance(material.get("metrics", "float") or material.get("metrics", "quantized") or {})
    lines = []
    for model in MODELS:
        found = material.get("metrics", model) or {}
        value = percent(found.get("accuracy"), found.get("accuracy_err"))
        if scored:
            value = auc_range(found) or DASH
        events = f", {len(s):,} events" if (s := material.scores.get(model)) is not None else ""
        engine = f" ({found['engine']})" if found.get("engine") else ""
        less = minus_float(material.result, model)
        change = ""
        if finite(less.get("accuracy")) is not None:
            words = signed(less.get("accuracy"), less.get("accuracy_err"), "%", 100.0)
            change = f": {words} against float"
        lines.append((value, f"{MODEL_NAMES[model]}{engine}{events}{change}"))
    title = "AUC of the signals, test events" if scored else "Accuracy on test events"
    note = "chance: 0.5" if scored else base.words if base is not None else ""
    return Tile(title, tuple(lines), note)


def _size(material: Material) -> Tile:
    record = material.get("compression") or {}
    ebops, twin = finite(record.get("ebops")), finite(record.get("ebops_uniform8"))
    ratio = f"{number(twin / ebops)}×" if ebops and twin else DASH
    return Tile(
        "Size",
        (
            (f"{count(ebops)} EBOPs", "quantised network"),
            (ratio, "fewer than 8-bit uniform"),
            (
                f"{number(record.get('bits_mean'))} bits",
                f"a weight on average, {share(record.get('sparsity'), 1)} pruned",
            ),
        ),
    )


def _fabric(material: Material) -> Tile:
    record = material.get("resources") or {}
    return Tile(
        "Firmware latency",
        (
            (f"{number(record.get('latency_ns'), 4)} ns", "from input to output"),
            (counted(record.get("latency_cycles"), "cycle"), _clock(record)),
            (f"II {count(record.get('ii'))}", "cycles between inputs"),
        ),
    )


def _clock(record: Mapping[str, Any]) -> str:
    return f"of {number(record.get('clock_ns'))} ns"


def _area(material: Material) -> Tile:
    record = material.get("resources") or {}
    part = find_part(str(record.get("part", "")))
    lines = []
    for key in ("lut", "ff"):
        whole = getattr(part, key) / part.slr if part else None
        lines.append(
            (
                f"{count(record.get(key))} {key.upper()}",
                f"{share(record.get(key), whole)} of an SLR",
            )
        )
    blocks = f"{count(record.get('dsp'))} DSP, {count(record.get('bram'))} BRAM"
    lines.append((blocks, f"{record.get('part', DASH)}"))
    return Tile("Resources", tuple(lines), f"method: {record.get('method', DASH)}")


def _software(material: Material) -> tuple[Tile, ...]:
    rows = [r for r in material.get("latency") or () if finite(r.get("p50_us"))]
    single = [r for r in rows if finite(r.get("batch")) == 1]
    if not single:
        return ()
    fastest = sorted(single, key=lambda r: float(r["p50_us"]))[:3]
    lines = tuple((microseconds(r["p50_us"]), engine_label(r)) for r in fastest)
    return (Tile("Software latency", lines, "median of a call, batch 1"),)
