"""How often tensors inside the network leave their fixed-point range."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, counted, finite, share

_MOST = 12
_KINDS = {"wrap": "wraps", "sat": "saturates"}


def overflow_audit(material: Material) -> Table:
    """The tensors that overflow, the worst first; a line alone where none does."""
    entries = material.section("overflow_audit")
    worst = sorted((e for e in entries if _overflows(e) != 0), key=_severity)
    events = {int(n) for e in entries if (n := finite(e.get("events"))) is not None}
    seen = f" in {count(max(events))} test events" if events else ""
    quiet = len(entries) - len(worst)
    note = f"{counted(quiet, 'tensor')} of {len(entries)} never left its range{seen}."
    if not worst:
        note = f"0 overflows: none of {counted(len(entries), 'tensor')} left its range{seen}."
    more = f" The {_MOST} worst of {len(worst)} are shown." if len(worst) > _MOST else ""
    return Table(
        ("layer", "tensor", "on overflow", "events with one", "values", "overflows", "share")
        if worst
        else (),
        tuple(_line(entry) for entry in worst[:_MOST]),
        "Values inside the quantised network that do not fit their format. Saturation bends the "
        f"network's response, a wrap turns a large number into another of the wrong sign.{more}",
        notes=(note,),
    )


def _overflows(entry: Mapping[str, Any]) -> float | None:
    return finite(entry.get("overflows"))


def _severity(entry: Mapping[str, Any]) -> tuple[bool, float]:
    """Wraps before saturations, and by falling share; an unknown count before all."""
    found, values = _overflows(entry), finite(entry.get("values"))
    part = float("inf") if found is None else found / (values or 1.0)
    return entry.get("kind") != "wrap", -part


def _line(entry: Mapping[str, Any]) -> tuple[Cell, ...]:
    kind = str(entry.get("kind", DASH))
    tone = "bad" if kind == "wrap" else "warn"
    return row(
        str(entry.get("layer", DASH)),
        str(entry.get("tensor", DASH)),
        _KINDS.get(kind, kind),
        share(entry.get("events_with_overflow"), entry.get("events")),
        count(entry.get("values")),
        Cell(count(_overflows(entry)), tone),
        Cell(share(_overflows(entry), entry.get("values")), tone),
    )
