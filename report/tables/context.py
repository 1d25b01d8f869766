"""Where and with what the figures were made."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH


def context(material: Material) -> Table:
    """Commit, seed and host in one table."""
    record = material.section("context")
    git, host = record.get("git") or {}, record.get("host") or {}
    state = " (with uncommitted changes)" if git.get("dirty") else ""
    rows = [
        row("commit", f"{git.get('commit') or DASH}{state}"),
        row("seed", str(record.get("seed", DASH))),
        *(row(str(key), _text(value)) for key, value in host.items()),
    ]
    return Table(("", "value"), tuple(rows), "What the figures of this report were made with.")


def data(material: Material) -> Table:
    """Where the events are from, and what was asked of them."""
    rows = tuple(row(key, _text(value)) for key, value in _flat(material.section("data")))
    return Table(("", "value"), rows, "Files, selection and simulation behind the events.")


def tools(material: Material) -> Table:
    """Versions of the tools."""
    found = material.section("context", "tools")
    rows = tuple(row(str(name), _text(version)) for name, version in found.items())
    return Table(("tool", "version"), rows, "Versions of the packages in use.")


def _flat(record: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """The record's plain values and short lists, with the path to each."""
    found: list[tuple[str, Any]] = []
    for key, value in record.items():
        name = f"{path}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            alike = _alike(value)
            found += [(f"{name} (all {len(value)})", alike)] if alike else _flat(value, f"{name}: ")
        elif not (isinstance(value, list) and any(isinstance(v, Mapping | list) for v in value)):
            found.append((name, value))
    return found


def _alike(record: Mapping[str, Any]) -> str:
    """The text that all of several entries share; empty where they differ."""
    texts = {value if isinstance(value, str) else None for value in record.values()}
    return texts.pop() or "" if len(texts) == 1 and len(record) > 2 else ""


def _text(value: Any) -> str:
    if value is None or value in ("", []):
        return DASH
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
