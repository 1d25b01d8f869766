"""Rates of the menu's cut triggers beside the score trigger's."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material, NotRunError
from triggerforge.report.numbers import finite, number, percent, with_error


def trigger_menu(material: Material) -> Table:
    """One row a seed, one for the whole menu, one a working point."""
    entries = menu(material)["rows"]
    signals = list(dict.fromkeys(n for e in entries for n in e["efficiency"]))
    rows = [
        row(
            str(e["name"]),
            _rate(e["rate_khz"]),
            _rate(e["pure_rate_khz"]),
            *(_efficiency(e, name) for name in signals),
        )
        for e in entries
    ]
    return Table(
        ("trigger", "rate", "pure rate", *(f"efficiency, {name}" for name in signals)),
        tuple(rows),
        "Pure rate: of events that no other cut trigger takes; for the score, that no cut trigger "
        "takes. In brackets: how much efficiency the score adds to the menu. Limits: 95 % CL.",
    )


def menu(material: Material) -> Mapping[str, Any]:
    """The record's menu; raises NotRunError where the configuration has none."""
    found: Mapping[str, Any] | None = material.section("trigger").get("menu")
    if found is None:
        raise NotRunError("trigger.menu names no cut triggers")
    return found


def _rate(entry: Mapping[str, Any]) -> Cell:
    limit = finite((entry.get("upper_limits") or {}).get("0.95"))
    if entry.get("err") is None and limit is not None:
        return Cell(f"< {number(limit)} kHz")
    return Cell(with_error(entry.get("value"), entry.get("err"), "kHz"))


def _efficiency(entry: Mapping[str, Any], name: str) -> Cell:
    found = percent(entry["efficiency"].get(name), entry["efficiency_err"].get(name))
    gain = (entry.get("gain") or {}).get(name)
    return Cell(f"{found} (+{percent(gain['value'], gain['err'])})" if gain else found)
