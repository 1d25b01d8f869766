"""The working points: what a trigger menu is given."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, finite, number, percent, with_error
from triggerforge.report.style import MODEL_NAMES

Entry = Mapping[str, Any]


def working_points(material: Material) -> Table:
    """One row a model and target rate, with the targets that were refused."""
    record = material.section("trigger")
    entries = material.get("rates") or ()
    signals = [str(name) for name in record.get("signals") or ()]
    rows = [
        row(
            f"{number(e['target_khz'])} kHz, {MODEL_NAMES.get(e['model'], e['model'])}",
            number(e["threshold"], 6),
            DASH if e["threshold_lsb"] is None else f"{e['threshold_lsb']:,}",
            with_error(e["rate_khz"], e["rate_err_khz"], "kHz"),
            count(e["events"]),
            *(_efficiency(e, name) for name in signals),
        )
        for e in entries
    ]
    for what, why in (record.get("not_run") or {}).items():
        blank = (Cell(DASH, "muted"),) * (3 + len(signals))
        rows.append(row(str(what), Cell(f"refused: {why}", "bad"), *blank))
    return Table(
        (
            "target",
            "threshold",
            "threshold [LSB]",
            "rate",
            "events that pass",
            *(f"efficiency, {name}" for name in signals),
        ),
        tuple(rows),
        "An event passes where score ≥ threshold. Threshold: the lowest at which the rate does not "
        "exceed the target. LSB: the step of the score's fixed-point format. Errors are statistical; in "
        "brackets the difference from the float model's efficiency at its own threshold, on the same "
        "events. The stage's working_points.json is the record to hand over.",
    )


def _efficiency(entry: Entry, name: str) -> Cell:
    found = percent(entry["efficiency"].get(name), entry["efficiency_err"].get(name))
    change = finite((entry.get("efficiency_minus_float") or {}).get(name))
    if change is None:
        return Cell(found)
    error = entry["efficiency_minus_float_err"].get(name)
    sign = "+" if change > 0 else ""
    return Cell(f"{found} ({sign}{percent(change, error)})")
