"""The stage `benchmark`: the same bits from every engine, and how fast."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from triggerforge.benchmark.agreement import Agreement, check_agreement
from triggerforge.benchmark.engines import make_engines
from triggerforge.benchmark.latency import measure, timer_overhead_ns
from triggerforge.benchmark.parity import report_mismatches
from triggerforge.config.benchmark import BenchmarkConfig
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import write_logits
from triggerforge.errors import DataError
from triggerforge.export.runtime import EngineSource
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.training.task import Task

_FIRMWARE_ENGINES = ("rtl", "hls4ml", "alir")
"""what the firmware's metrics come from: the nearest to hardware that could run"""


def benchmark(
    config: BenchmarkConfig,
    source: EngineSource,
    splits: Splits,
    network: str,
    seed: int,
    folder: Path,
) -> None:
    """Records parity, input_audit, latency and metrics.firmware; writes the firmware's scores.

    Mismatches are said, with events, and recorded; the run fails on them once everything is
    written (`triggerforge.pipeline.check_gates`). Raises DataError if there are no test events,
    RegistryError for an unknown engine.
    """
    test = splits.test
    if not len(test):
        raise DataError("the test split is empty; give it a share in data.split")
    agreement = check_agreement(config.parity, source, test.x, seed)
    report_mismatches(agreement.rows)
    engines, missing = make_engines(config.latency.engines, source)
    latency = measure(config.latency, engines, test.quantized_x, network)
    not_run = agreement.not_run | missing
    for name, reason in not_run.items():
        say(f"benchmark: {name} not run: {reason}")
    write_record(
        folder,
        parity=agreement.rows,
        input_audit=[asdict(count) for count in test.contract.audit(test.x)],
        latency=latency,
        metrics={"firmware": _metrics(agreement, test, Task.of(splits), folder)},
        benchmark={
            "not_run": not_run,
            "timer_overhead_ns": timer_overhead_ns(),
            "cores": 1,
            "threads": 1,
        },
    )


def _metrics(agreement: Agreement, test: Dataset, task: Task, folder: Path) -> dict[str, Any]:
    """Metrics of the firmware's outputs; `engine` says whose outputs they are."""
    name = next((n for n in _FIRMWARE_ENGINES if n in agreement.test_outputs), None)
    if name is None:
        return {"not_run": f"none of the engines {', '.join(_FIRMWARE_ENGINES)} was run"}
    logits = agreement.test_outputs[name]
    events = len(logits)
    try:
        found = task.metrics(logits, test.y[:events], test.weight[:events])
    except DataError as error:
        return {"not_run": str(error)}
    write_logits(folder, np.asarray(logits))
    return found | {"engine": name, "events": events}
