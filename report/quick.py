"""The banner of a quick run: how small it was, and that its figures are no result."""

import json
from collections.abc import Mapping
from typing import Any

from triggerforge.report.numbers import count, counted, finite, number
from triggerforge.report.quality import quality_line

HEADLINE = "Quick run: small on purpose, for a first look. Its figures are no result."
Record = Mapping[str, Any]


def banner(result: Record) -> tuple[str, ...]:
    """Lines for the top of the page and the end of the terminal's; none for a whole run."""
    context = result.get("context") or {}
    if not isinstance(context, Mapping) or context.get("quick") is not True:
        return ()
    lines = (HEADLINE, _size(result), quality_line(result), _instead(context.get("quick_sizes")))
    return tuple(line for line in lines if line)


def _size(result: Record) -> str:
    """What it was trained and tested on."""
    training, compression = (result.get(key) or {} for key in ("training", "compression"))
    events = (result.get("data") or {}).get("events") or {}
    told = []
    if finite(training.get("events")) is not None:
        epochs = counted(training.get("epochs"), "epoch")
        told.append(f"trained on {count(training['events'])} events for {epochs}")
    if finite(compression.get("epochs")) is not None:
        told.append(f"quantised in {counted(compression['epochs'], 'epoch')}")
    if isinstance(events, Mapping) and finite(events.get("test")) is not None:
        told.append(f"tested on {counted(events['test'], 'event')}")
    text = ", ".join(told)
    return text[:1].upper() + text[1:]


def _instead(sizes: Any) -> str:
    """Each key that was made small, with the value of the whole run."""
    if not isinstance(sizes, Mapping) or not sizes:
        return ""
    told = (f"{key} {_value(size)}" for key, size in sizes.items() if isinstance(size, Mapping))
    return f"Set by --quick: {', '.join(told)}"


def _value(size: Record) -> str:
    mine, whole = (_plain(size.get(key)) for key in ("quick", "whole"))
    return mine if size.get("whole") is None else f"{mine} (whole run: {whole})"


def _plain(value: Any) -> str:
    return number(value) if finite(value) is not None else json.dumps(value, default=str)
