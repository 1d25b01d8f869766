"""How many test events leave an input's fixed-point range."""

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, finite, number, share


def input_audit(material: Material) -> Table:
    """One row an input; those that leave the range stand out."""
    rows = []
    for entry in material.section("input_audit"):
        saturated = finite(entry.get("saturated"))
        tone = "" if not saturated else "warn"
        allowed = entry.get("allowed") or (None, None)
        rows.append(
            row(
                str(entry.get("name", DASH)),
                f"{number(entry.get('low'))} … {number(entry.get('high'))}",
                f"{number(allowed[0], 4)} … {number(allowed[1], 4)}",
                count(entry.get("events")),
                Cell(count(saturated), tone),
                Cell(share(saturated, entry.get("events")), tone),
            )
        )
    return Table(
        ("input", "seen", "range of the port", "events", "events outside", "share"),
        tuple(rows),
        "Network inputs x = (raw − offset) · 2^−shift, dimensionless, before rounding. An event is "
        "counted once for an input, however many of its particles leave the range.",
    )
