"""The compiled integers against the graph, the RTL and the C simulation: bits, and events a second.

`python -m triggerforge.benchmark.emulation RUN… [--inputs N]` compares native-int with each of them
on corner inputs and N events with every bit of the port random, then times all of them in turn on
one core. It ends with status 1 if a single output differs.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triggerforge.benchmark.corners import Inputs, corner_inputs
from triggerforge.benchmark.engines import make_engines
from triggerforge.benchmark.latency import one_quiet_core
from triggerforge.border import answer
from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel
from triggerforge.data.contract import InputContract
from triggerforge.errors import MissingToolError, TriggerForgeError
from triggerforge.export.probe import random_port_inputs
from triggerforge.export.runtime import EngineSource, Runtime

ENGINE = "native-int"
PEERS = ("alir", "rtl", "hls4ml")
_CHUNK = 20_000
_ROUNDS = 7
_SECONDS = 0.2  # of each engine in each round


@dataclass
class Row:
    """One engine beside native-int."""

    engine: str
    events: int = 0
    mismatches: int = 0
    events_per_second: float = 0.0


def compare(
    engines: dict[str, Runtime], contract: InputContract, limits: dict[str, int], seed: int = 1
) -> list[Row]:
    """Counts outputs of each engine that differ from native-int's, on `limits[engine]` random events.

    Corner inputs come before them. What is not finite differs from everything.
    """
    rows = {name: Row(name) for name in engines}
    for start, x in _chunks(contract, max(limits.values()), seed):
        expected = engines[ENGINE].predict(x)
        for name, row in rows.items():
            # the corners, at `start` < 0, are for every engine
            part = x if start < 0 else x[: max(0, limits[name] - start)]
            if not len(part):
                continue
            got = expected if name == ENGINE else engines[name].predict(part)
            row.events += len(part)
            row.mismatches += int((got != expected[: len(part)]).sum())
    return list(rows.values())


def _chunks(contract: InputContract, events: int, seed: int) -> Iterator[tuple[int, Inputs]]:
    corners = corner_inputs(contract, random_events=1, seed=seed)
    yield -1, np.concatenate(list(corners.values()))
    for start in range(0, events, _CHUNK):
        yield start, random_port_inputs(contract, min(_CHUNK, events - start), seed + start)


def speeds(engines: dict[str, Runtime], contract: InputContract) -> dict[str, float]:
    """Events a second on one core: the median of rounds in which every engine has its turn."""
    x = random_port_inputs(contract, _CHUNK, seed=2)
    with one_quiet_core():
        calls = {name: _fitting(engine, x) for name, engine in engines.items()}
        took: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(_ROUNDS):
            for name, (events, times) in calls.items():
                took[name].append(_seconds(engines[name], x[:events], times) / (events * times))
    return {name: 1 / statistics.median(values) for name, values in took.items()}


def _fitting(engine: Runtime, x: Inputs) -> tuple[int, int]:
    """How many events a call, and calls a round, take about `_SECONDS`."""
    few = x[:200]
    engine.predict(few)
    each = _seconds(engine, few, 1) / len(few)
    events = int(np.clip(_SECONDS / each, 1, len(x)))
    return events, max(1, round(_SECONDS / (each * events)))


def _seconds(engine: Runtime, x: Inputs, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        engine.predict(x)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table for each run; gives back the exit status."""
    parser = argparse.ArgumentParser(prog="python -m triggerforge.benchmark.emulation")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a finished run's folder")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="random events (1,000,000)")
    parser.add_argument("--csim", type=int, default=5_000, help="of them for hls4ml (5,000)")
    options = parser.parse_args(arguments)
    wrong = 0
    sys.stdout.write(
        "run              engine      events     outputs differ  events/s/core  native-int is\n"
    )
    for run in options.runs:
        try:
            wrong += _measure(run, options.inputs, options.csim)
        except TriggerForgeError as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
        sys.stdout.flush()
    return 1 if wrong else 0


def _measure(run: Path, inputs: int, csim: int) -> int:
    """Prints the rows of one run; gives back how many outputs differ."""
    quantized = QuantizedModel.load(run / "compress" / MODEL_FILE)
    source = EngineSource(
        quantized=quantized, export_folder=run / "export", firmware_folder=run / "firmware"
    )
    engines, not_run = make_engines((ENGINE, *PEERS), source)
    if ENGINE in not_run:
        raise MissingToolError(f"{run}: there is nothing to compare with: {not_run[ENGINE]}")
    limits = {n: csim if n == "hls4ml" else inputs for n in engines}
    rows = compare(engines, quantized.contract, limits)
    speed = speeds(engines, quantized.contract)
    for row in rows:
        sys.stdout.write(_line(run.name, row, speed))
    for name, reason in not_run.items():
        sys.stdout.write(f"{run.name:16s} {name:11s} not run: {reason}\n")
    return sum(row.mismatches for row in rows)


def _line(run: str, row: Row, speed: dict[str, float]) -> str:
    ratio = speed[ENGINE] / speed[row.engine]
    return (
        f"{run:16s} {row.engine:10s} {row.events:9,d} {row.mismatches:15,d} "
        f"{speed[row.engine]:14,.0f} {ratio:10.1f} x\n"
    )


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.benchmark.emulation"))
