"""Runs side by side, as a table for a document: python -m triggerforge.report.compare runs/*

Each argument is a run's folder, with result.json in it. Markdown goes to the standard output.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triggerforge.border import answer
from triggerforge.errors import TriggerForgeError
from triggerforge.progress import say
from triggerforge.report.material import MODELS, reading
from triggerforge.report.numbers import DASH, count, finite, number, with_error
from triggerforge.report.quality import minus_float, signed
from triggerforge.report.quick import banner
from triggerforge.report.style import MODEL_NAMES
from triggerforge.report.tables.parity import has_to_be_exact
from triggerforge.result import read_result

_COLUMNS = (
    "run",
    "training events",
    *(f"{MODEL_NAMES[model]} [%]" for model in MODELS),
    "quantised − float [%]",
    "EBOPs",
    "8-bit EBOPs / EBOPs",
    "latency",
    "LUT",
    "FF",
    "resources by",
    "exact outputs",
    "mismatches",
)


def compare(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table with a line for each of `results` (run's name -> result.json).

    Accuracies are on the test events; outputs and mismatches are those of all engines that must
    agree in every bit. What a run has not is a dash.
    """
    lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
    lines += [_line(name, result) for name, result in results.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _line(name: str, result: Mapping[str, Any]) -> tuple[str, ...]:
    metrics, compression = result.get("metrics", {}), result.get("compression", {})
    resources, less = result.get("resources", {}), minus_float(result, "quantized")
    cycles, ns = resources.get("latency_cycles"), resources.get("latency_ns")
    return (
        name + (" (quick run)" if banner(result) else ""),
        count(result.get("training", {}).get("events")),
        *(_accuracy(metrics.get(model, {})) for model in MODELS),
        signed(less.get("accuracy"), less.get("accuracy_err"), scale=100.0),
        count(compression.get("ebops")),
        number(compression.get("ratio")),
        DASH if finite(ns) is None else f"{number(ns)} ns ({count(cycles)} cycles)",
        count(resources.get("lut")),
        count(resources.get("ff")),
        str(resources.get("method", DASH)),
        *exactness(result.get("parity", [])),
    )


def _accuracy(metrics: Mapping[str, Any]) -> str:
    return with_error(metrics.get("accuracy"), metrics.get("accuracy_err"), scale=100.0)


def exactness(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Outputs of all engines that must agree in every bit, and how many did not."""
    exact = [row for row in rows if has_to_be_exact(row)]
    if not exact:
        return DASH, DASH
    outputs, mismatches = (sum(row[key] for row in exact) for key in ("outputs", "mismatches"))
    return count(outputs), count(mismatches)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; exit status 1 and a message if a run cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m triggerforge.report.compare")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    folders = parser.parse_args(arguments).runs
    try:
        results = {folder.name: read_result(folder / "result.json") for folder in folders}
        with reading("the comparison"):
            table = compare(results)
    except TriggerForgeError as error:
        say(f"error: {error}")
        return 1
    sys.stdout.write(table)
    return 0


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.report.compare"))
