"""The ONNX files, and whether each was found to give its model's numbers."""

from collections.abc import Mapping
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, finite, number


def onnx_files(material: Material) -> Table:
    """One row a file of the stage `export`."""
    rows = []
    for graph, found in material.section("export").items():
        if not isinstance(found, Mapping):
            continue
        operators = found.get("operators") or {}
        rows.append(
            row(
                str(graph).replace("quantized", "quantised"),
                str(found.get("file", DASH)),
                count(found.get("bytes")),
                ", ".join(f"{n} {name}" for name, n in operators.items()) or DASH,
                count(found.get("events")),
                _checked(found),
            )
        )
    return Table(
        ("graph", "file", "bytes", "operators", "events checked", "against its model"),
        tuple(rows),
        "Files of the stage export. The float graph is compared with torch (largest difference of a "
        "logit); the quantised ones must give the quantised model's numbers exactly.",
    )


def _checked(found: Mapping[str, Any]) -> Cell:
    mismatches = finite(found.get("mismatches"))
    if mismatches is not None:
        return Cell(f"{count(mismatches)} mismatches", "bad" if mismatches else "good")
    return Cell(f"within {number(found.get('max_difference'))}")
