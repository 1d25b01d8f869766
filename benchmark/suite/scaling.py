"""The native engine on more than one core: in threads of one Python process, and in processes.

Each worker has a core, a call and arrays of its own. Beyond a few events the native engine hands
Python's lock back while it computes, so threads do not wait for each other.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triggerforge.benchmark.suite.machine import cores

_START_S = 300.0
"""a process that has not begun after that never will"""


class _Barrier(Protocol):
    def wait(self, timeout: float | None = None) -> int: ...
    def abort(self) -> None: ...


_barrier: _Barrier
"""where the workers of this process, or this worker process, begin together"""


def measure_scaling(
    network: str, path: Path, x: NDArray[np.float32], seconds: float, rounds: int
) -> list[dict[str, Any]]:
    """A row for each number of workers of each kind; `path` is the network's float.onnx.

    Every worker calls with all of x (N, *shape) for `seconds`. Events a second are those of all workers
    together, the median of the rounds; `efficiency` is what they are of a worker alone times workers.
    """
    rows = []
    for kind, make in _KINDS.items():
        rates = {n: np.zeros(rounds) for n in worker_counts(len(cores()))}
        for turn in range(rounds):
            for workers, values in rates.items():
                values[turn] = len(x) * sum(_run(make, workers, path, x, seconds))
        medians = {n: float(np.median(values)) for n, values in rates.items()}
        rows += [
            {
                "network": network,
                "kind": kind,
                "workers": n,
                "batch": len(x),
                "events_per_second": rate,
                "efficiency": rate / (n * medians[1]),
            }
            for n, rate in medians.items()
        ]
    return rows


def worker_counts(most: int) -> list[int]:
    """1, 2, 4, … and `most`."""
    return sorted({*(2**k for k in range(most.bit_length()) if 2**k <= most), most})


def _run(
    make: Callable[[int], Executor],
    workers: int,
    path: Path,
    x: NDArray[np.float32],
    seconds: float,
) -> list[float]:
    """Calls a second of each worker, all at once; raises what a worker raises."""
    with make(workers) as executor:
        given = [(path, x, place, seconds) for place in range(workers)]
        return list(executor.map(_calls_per_second, *zip(*given, strict=True)))


def _threads(workers: int) -> Executor:
    _meet_at(threading.Barrier(workers))
    return ThreadPoolExecutor(workers)


def _processes(workers: int) -> Executor:
    # fresh processes: a fork of one with threads may hang
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers)
    return ProcessPoolExecutor(workers, context, initializer=_meet_at, initargs=(barrier,))


_KINDS = {"threads": _threads, "processes": _processes}


def _meet_at(barrier: _Barrier) -> None:
    global _barrier
    _barrier = barrier


def _calls_per_second(path: Path, x: NDArray[np.float32], place: int, seconds: float) -> float:
    """Binds, waits until all workers have, and calls; in a thread of its own, which keeps one core."""
    try:
        call = _bound_on_core(path, x, place)
    except BaseException:
        _barrier.abort()  # the others shall not wait for this one
        raise
    _barrier.wait(_START_S)
    start = time.perf_counter()
    calls = 0
    while (passed := time.perf_counter() - start) < seconds:
        call()
        calls += 1
    return calls / passed


def _bound_on_core(path: Path, x: NDArray[np.float32], place: int) -> Callable[[], None]:
    # not at the top: a worker process loads this file, and needs nothing of it before
    from triggerforge.export.engines.native import NativeRuntime

    own = cores()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {own[place % len(own)]})
    engine = NativeRuntime(path)
    mine = x.copy()
    call = engine.bind(mine, np.empty_like(engine.predict(mine)))
    call()
    return call
