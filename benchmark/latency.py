"""How long one call takes: all engines in turn, call by call, in one process on one core.

Alternating calls spread whatever else the machine does over all engines alike. Engines so slow that
their calls would take more than their share of the time have fewer of them, spread over all rounds.
"""

import gc
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_FEWEST_WARM_UP_CALLS = 2
_WARM_UP_SHARE = 0.2
"""of the time for a batch size"""
_FEWEST_CALLS = 15
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
    place = inputs[0].copy()
    contestants = [c for e in engines.values() for c in (_copying(e, inputs[0]), _bound(e, place))]
    if not contestants:
        return []
    each = _warm_up(contestants, inputs, config.seconds)
    share = config.seconds * 1e9 / len(contestants)
    calls = [int(np.clip(share / ns, _FEWEST_CALLS, config.calls)) for ns in each]
    took = time_rounds(contestants, inputs, calls, config.seconds)
    return [_row(c, t, batch, network) for c, t in zip(contestants, took, strict=True)]


def _batches(x: NDArray[np.float32], batch: int) -> list[NDArray[np.float32]]:
    """Different batches of events; events come again where there are too few."""
    count = min(_DISTINCT_BATCHES, max(1, len(x) // batch))
    enough = count * batch <= len(x)
    taken = x[: count * batch] if enough else x[np.arange(count * batch) % len(x)]
    return list(np.ascontiguousarray(taken).reshape(count, batch, *x.shape[1:]))


def _copying(engine: Runtime, first: NDArray[np.float32]) -> Contestant:
    held = [first]

    def prepare(x: NDArray[np.float32]) -> None:
        held[0] = x

    return Contestant(engine, "copy", prepare, lambda: engine.predict(held[0]))


def _bound(engine: Runtime, place: NDArray[np.float32]) -> Contestant:
    """Reads `place`, which all bound engines share: each call finds new inputs there."""
    y = np.empty_like(engine.predict(place))

    def prepare(values: NDArray[np.float32]) -> None:
        place[:] = values

    return Contestant(engine, "bound", prepare, engine.bind(place, y))


def _warm_up(
    contestants: Sequence[Contestant], inputs: Sequence[NDArray[np.float32]], seconds: float
) -> NDArray[np.float64]:
    """(contestants,): ns that a call takes; the first calls are slow and do not count."""
    rounds: list[list[NDArray[np.int64]]] = []
    end = time.monotonic() + _WARM_UP_SHARE * seconds
    while len(rounds) < _WARM_UP_CALLS:
        rounds.append(time_rounds(contestants, inputs, [1] * len(contestants)))
        if len(rounds) >= _FEWEST_WARM_UP_CALLS and time.monotonic() > end:
            break
    later: NDArray[np.float64] = np.median(rounds[len(rounds) // 2 :], axis=(0, 2))
    return np.maximum(later, 1.0)


def time_rounds(
    contestants: Sequence[Contestant],
    inputs: Sequence[NDArray[np.float32]],
    calls: Sequence[int],
    seconds: float = math.inf,
) -> list[NDArray[np.int64]]:
    """For each contestant the ns of each of its `calls`; fewer where the time is over before.

    There are as many rounds as the most calls of one. A round calls each contestant whose turn it is
    once, in shuffled order, because who follows its own other mode finds its weights in the cache.
    """
    took = [np.empty(n, np.int64) for n in calls]
    done = [0] * len(calls)
    rounds = max(calls)
    end = time.monotonic() + seconds
    shuffle = np.random.default_rng(0).permutation
    clock = time.perf_counter_ns
    for turn in range(rounds):
        x = inputs[turn % len(inputs)]
        for place in shuffle(len(contestants)):
            if done[place] >= (turn + 1) * calls[place] // rounds:
                continue
            contestants[place].prepare(x)
            call = contestants[place].call
            start = clock()
            call()
            took[place][done[place]] = clock() - start
            done[place] += 1
        if time.monotonic() > end and _enough(done, calls):
            break
    return [ns[:n] for ns, n in zip(took, done, strict=True)]


def _enough(done: Sequence[int], calls: Sequence[int]) -> bool:
    return all(n >= min(_FEWEST_CALLS, most) for n, most in zip(done, calls, strict=True))


def _row(contestant: Contestant, took: NDArray[np.int64], batch: int, network: str) -> LatencyRow:
    return LatencyRow(
        network=network,
        engine=contestant.engine.name,
        device=getattr(contestant.engine, "device", "cpu"),
        model=contestant.engine.model,
        io=contestant.io,
        batch=batch,
        calls=len(took),
        **statistics_us(took),
        throughput_hz=batch * len(took) / (took.sum() / 1e9),
    )


def statistics_us(took_ns: NDArray[np.int64]) -> dict[str, float]:
    """p50, p99, p99.9, min and max in µs: measured calls, never values between two."""
    p50, p99, p999 = np.percentile(took_ns, [50, 99, 99.9], method="higher") / 1e3
    low, high = took_ns.min() / 1e3, took_ns.max() / 1e3
    return {"p50_us": p50, "p99_us": p99, "p999_us": p999, "min_us": low, "max_us": high}
