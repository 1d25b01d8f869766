"""How long one call takes: all engines in turn, call by call, in one process on one core.

Alternating calls spread whatever else the machine does over all engines alike.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.benchmark import LatencyConfig
from triggerforge.errors import DataError
from triggerforge.export.runtime import Runtime
from triggerforge.progress import progress
from triggerforge.result import LatencyRow

_WARM_UP_CALLS = 20
_FEWEST_CALLS = 30
_DISTINCT_BATCHES = 64


@dataclass(frozen=True)
class Contestant:
    """One engine in one mode; `prepare` lays the next input in place, untimed."""

    engine: Runtime
    io: str
    prepare: Callable[[NDArray[np.float32]], None]
    call: Callable[[], Any]


def measure(
    config: LatencyConfig, engines: Mapping[str, Runtime], x: NDArray[np.float32], network: str
) -> list[LatencyRow]:
    """Latency of every engine, mode and batch size, on inputs x (N, *shape).

    Raises DataError if x holds no event.
    """
    if not len(x):
        raise DataError("no events to time the engines with; the test split is empty")
    rows: list[LatencyRow] = []
    with one_quiet_core(), progress("latency", total=len(config.batches)) as meter:
        for done, batch in enumerate(config.batches, start=1):
            rows += _measure_batch(config, engines, x, batch, network)
            meter(done, f"batch {batch}")
    return rows


def timer_overhead_ns() -> float:
    """Median time between two readings of the clock with nothing between, in ns."""
    ticks = np.array([time.perf_counter_ns() for _ in range(2001)])
    return float(np.median(np.diff(ticks)))


@contextmanager
def one_quiet_core() -> Iterator[None]:
    """One core, one torch thread and no garbage collection inside; all as before afterwards."""
    import torch

    threads, collects = torch.get_num_threads(), gc.isenabled()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        torch.set_num_threads(1)
        gc.collect()
        gc.disable()
        if cores:
            os.sched_setaffinity(0, {max(cores)})
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
        if collects:
            gc.enable()
        torch.set_num_threads(threads)


def _measure_batch(
    config: LatencyConfig,
    engines: Mapping[str, Runtime],
    x: NDArray[np.float32],
    batch: int,
    network: str,
) -> list[LatencyRow]:
    inputs = _batches(x, batch)
    contestants = [c for e in engines.values() for c in (_copying(e, inputs), _bound(e, inputs))]
    took = _time_rounds(contestants, inputs, _WARM_UP_CALLS)
    # the first calls are slow; the later half says how long a round takes
    a_round = max(took[:, _WARM_UP_CALLS // 2 :].mean(axis=1).sum() / 1e9, 1e-9)
    calls = int(np.clip(config.seconds / a_round, _FEWEST_CALLS, config.calls))
    took = _time_rounds(contestants, inputs, calls)
    return [_row(c, t, batch, network) for c, t in zip(contestants, took, strict=True)]


def _batches(x: NDArray[np.float32], batch: int) -> list[NDArray[np.float32]]:
    """Different batches of events; events come again where there are too few."""
    count = min(_DISTINCT_BATCHES, max(1, len(x) // batch))
    index = np.arange(count * batch) % len(x)
    return list(np.ascontiguousarray(x[index]).reshape(count, batch, *x.shape[1:]))


def _copying(engine: Runtime, inputs: list[NDArray[np.float32]]) -> Contestant:
    held = [inputs[0]]

    def prepare(x: NDArray[np.float32]) -> None:
        held[0] = x

    return Contestant(engine, "copy", prepare, lambda: engine.predict(held[0]))


def _bound(engine: Runtime, inputs: list[NDArray[np.float32]]) -> Contestant:
    x = inputs[0].copy()
    y = np.empty_like(engine.predict(x))

    def prepare(values: NDArray[np.float32]) -> None:
        x[:] = values

    return Contestant(engine, "bound", prepare, engine.bind(x, y))


def _time_rounds(
    contestants: list[Contestant], inputs: list[NDArray[np.float32]], rounds: int
) -> NDArray[np.int64]:
    """(contestants, rounds): ns of each call; each round calls every contestant once, shuffled.

    Shuffled, because who follows its own other mode finds its weights in the cache.
    """
    took = np.empty((len(contestants), rounds), np.int64)
    shuffle = np.random.default_rng(0).permutation
    clock = time.perf_counter_ns
    for turn in range(rounds):
        x = inputs[turn % len(inputs)]
        for place in shuffle(len(contestants)):
            contestants[place].prepare(x)
            call = contestants[place].call
            start = clock()
            call()
            took[place, turn] = clock() - start
    return took


def _row(contestant: Contestant, took: NDArray[np.int64], batch: int, network: str) -> LatencyRow:
    # "higher": a measured call, never a value between two
    p50, p99, p999 = np.percentile(took, [50, 99, 99.9], method="higher") / 1e3
    return LatencyRow(
        network=network,
        engine=contestant.engine.name,
        device="cpu",
        model=contestant.engine.model,
        io=contestant.io,
        batch=batch,
        calls=len(took),
        p50_us=p50,
        p99_us=p99,
        p999_us=p999,
        min_us=took.min() / 1e3,
        throughput_hz=batch * len(took) / (took.sum() / 1e9),
    )
