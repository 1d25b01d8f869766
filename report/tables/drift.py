"""Whether inputs and scores are still distributed as they were."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import number

_MOST = 30


def drift(material: Material) -> Table:
    """One row a comparison: alarms first, then by falling stability index."""
    inputs = material.section("trigger", "input_drift")
    scores = material.get("trigger", "score_drift") or ()
    every = [(f"score, {r['name']}", r) for r in scores]
    every += [(f"input {r['name']}", r) for r in inputs.get("rows") or ()]
    every.sort(key=lambda pair: (not pair[1]["alarm"], -pair[1]["psi"]))
    alarms = sum(bool(r["alarm"]) for _, r in every)
    return Table(
        ("", "stability index", "by chance below", "KS distance", "p-value", "verdict"),
        tuple(_row(name, r) for name, r in every[:_MOST]),
        f"{alarms} alarms in {len(every)} comparisons, the {min(_MOST, len(every))} largest are shown: "
        "inputs of the background in training against test events; scores of the background in each "
        "slice of time against the first.",
    )


def _row(name: str, entry: Mapping[str, Any]) -> tuple[Cell, ...]:
    verdict = Cell("✗ alarm", "bad") if entry["alarm"] else Cell("✓ stable", "good")
    return row(
        name,
        number(entry["psi"]),
        number(entry["psi_chance"]),
        number(entry["ks"]),
        number(entry["p_value"]),
        verdict,
    )
