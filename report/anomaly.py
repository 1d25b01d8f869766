"""Anomaly triggers side by side, for a document: python -m triggerforge.report.anomaly runs/anomaly_*

Each argument is the folder of a run with `data.background`. Markdown goes to the standard output: the
firmware of each run, then AUC and efficiencies of every signal. A run that is only trained, such as
that of a network too large for firmware, has no rates yet: they are worked out here.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triggerforge.border import answer
from triggerforge.config.trigger import TriggerConfig
from triggerforge.data.scores import read_logits
from triggerforge.data.splits import load_splits
from triggerforge.errors import TriggerForgeError
from triggerforge.progress import say
from triggerforge.report.compare import exactness
from triggerforge.report.material import reading
from triggerforge.report.numbers import DASH, count, finite, number, with_error
from triggerforge.report.quick import banner
from triggerforge.report.style import MODEL_NAMES
from triggerforge.result import read_result
from triggerforge.trigger.score import scored
from triggerforge.trigger.working import working_points

MODELS = ("float", "quantized")
"""the firmware gives the quantised network's bits; the table of firmware says whether it did"""
RATES_KHZ = (1.0, 10.0)
Result = Mapping[str, Any]


def firmware_table(results: Mapping[str, Result]) -> str:
    """A Markdown table with a line for each of `results` (run's name -> result.json)."""
    header = (
        *("run", "network", "multiply-adds", "EBOPs", "overlap with float [%]", "latency", "II"),
        *("LUT", "FF", "DSP", "resources by", "exact outputs", "mismatches"),
    )
    return _markdown(header, [_firmware(name, result) for name, result in results.items()])


def physics_table(results: Mapping[str, Result]) -> str:
    """A line for each run and form of the network; a column for each signal.

    A cell is the AUC, then the efficiencies [%] at each of RATES_KHZ, of the teacher the AUC alone.
    """
    signals = list(dict.fromkeys(s for r in results.values() for s in _aucs(r, "float")))
    rows = []
    for name, result in results.items():
        teacher = result.get("training", {}).get("teacher", {}).get("metrics")
        if teacher:
            found = (with_error(teacher["auc"].get(s), teacher["auc_err"].get(s)) for s in signals)
            rows.append((name, "teacher", *found))
        rows += [
            (name, MODEL_NAMES[model], *(_cell(result, model, signal) for signal in signals))
            for model in MODELS
            if _aucs(result, model) or model == "float"
        ]
    return _markdown(("run", "form", *signals), rows)


def _firmware(name: str, result: Result) -> tuple[str, ...]:
    compression, resources = result.get("compression", {}), result.get("resources", {})
    training = result.get("training", {})
    cycles, ns = resources.get("latency_cycles"), resources.get("latency_ns")
    overlap = finite(compression.get("chosen", {}).get("accuracy"))
    return (
        name + (" (quick run)" if banner(result) else ""),
        str(training.get("model", DASH)),
        count(training.get("multiplications")),
        count(compression.get("ebops")),
        DASH if overlap is None else f"{100 * overlap:.1f}",
        DASH if finite(ns) is None else f"{number(ns)} ns ({count(cycles)} cycles)",
        count(resources.get("ii")),
        *(count(resources.get(key)) for key in ("lut", "ff", "dsp")),
        str(resources.get("method", DASH)),
        *exactness(result.get("parity", [])),
    )


def _aucs(result: Result, model: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result.get("metrics", {}).get(model, {}).get("auc", {})
    return found


def _cell(result: Result, model: str, signal: str) -> str:
    metrics = result.get("metrics", {}).get(model, {})
    area = with_error(_aucs(result, model).get(signal), metrics.get("auc_err", {}).get(signal))
    return "; ".join([area, *(_efficiency(result, model, signal, khz) for khz in RATES_KHZ)])


def _efficiency(result: Result, model: str, signal: str, khz: float) -> str:
    for row in result.get("rates", []):
        if row["model"] == model and row["target_khz"] == khz:
            value, error = row["efficiency"].get(signal), row["efficiency_err"].get(signal)
            return with_error(value, error, scale=100.0)
    return DASH


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def read_run(folder: Path) -> Result:
    """result.json of a run; without rates of its own, with the float model's at 2340 colliding bunches.

    Raises ArtifactError if a file of the run is missing or damaged.
    """
    result: Result = read_result(folder / "result.json")
    if result.get("rates"):
        return result
    outputs = read_logits(folder / "train")
    if outputs is None:
        return result
    splits = load_splits(folder / "data")
    if not splits.background:
        return result
    config = TriggerConfig(background=splits.background, target_rates=RATES_KHZ)
    points = working_points([scored("float", outputs, splits.test, config, None)], RATES_KHZ)
    return {**result, "rates": [point.row.model_dump(mode="json") for point in points.found]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints both tables; exit status 1 and a message if a run cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m triggerforge.report.anomaly")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    folders = parser.parse_args(arguments).runs
    try:
        results = {folder.name: read_run(folder) for folder in folders}
        with reading("the comparison"):
            text = f"{firmware_table(results)}\n{physics_table(results)}"
    except TriggerForgeError as error:
        say(f"error: {error}")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.report.anomaly"))
