"""Networks in a C++ loop, beside the limits of the core, all in turn.

The roof is Williams, Waterman, Patterson, "Roofline", CACM 52 (2009) 65: an event takes at least the
longer of operations over peak and bytes over bandwidth. At batch 1 everything lies in the caches, and
the roof is the peak alone.
"""

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.benchmark.suite.machine import Limits, template
from triggerforge.benchmark.suite.work import Work, count_work
from triggerforge.export.native.build import compiled
from triggerforge.export.native.float_source import write_float_source
from triggerforge.export.native.tune import fastest_options
from triggerforge.progress import progress

_PYTHON_ONLY = "module.cc"
_SINGLE_EVENTS = 64
"""different ones in turn at batch 1"""
_SMALL_NS = 2e6
"""what one measurement takes: less than the slice of time after which others may have the core"""


class Loop:
    """A network's own sources and a loop around them, in one library without Python.

    Raises UnsupportedOperationError for what the native engine does not know, MissingToolError
    without g++.
    """

    def __init__(self, model: onnx.ModelProto, x: NDArray[np.float32], outputs: int) -> None:
        sources = write_float_source(model)
        options = fastest_options(sources, x[0].size, outputs)
        sources = {n: text for n, text in sources.items() if n != _PYTHON_ONLY}
        sources["loop.cc"] = template("loop.cc")
        library = ctypes.CDLL(str(compiled(sources, options=options)))
        self._run = library.triggerforge_loop
        self._run.restype = ctypes.c_longlong
        self._run.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_long] * 4
        self.x = np.ascontiguousarray(x)
        self.y = np.zeros((len(x), outputs), np.float32)
        """outputs of the last call"""
        self._calls: dict[int, int] = {}

    def ns_per_event(self, events: int) -> float:
        """Time of an event in calls with so many, at most len(x); takes 2 ms or one call."""
        if events not in self._calls:
            self._ns(events, 1)
            self._calls[events] = max(1, round(_SMALL_NS / max(1.0, self._ns(events, 1))))
        calls = self._calls[events]
        return self._ns(events, calls) / (calls * events)

    def _ns(self, events: int, calls: int) -> float:
        batches = min(_SINGLE_EVENTS, len(self.x) // events)
        size = events * self.x[0].size
        x, y = self.x.ctypes.data, self.y.ctypes.data
        return float(self._run(x, y, batches, size, events, calls))


@dataclass(frozen=True)
class Roof:
    """The limits of this core, medians."""

    register_bits: int
    gflops: float
    read_gb_s: float
    triad_gb_s: float

    @property
    def gb_s(self) -> float:
        """The faster of the two ways through memory."""
        return max(self.read_gb_s, self.triad_gb_s)

    def ns(self, work: Work, events: int) -> tuple[float, str]:
        """The least time of an event in calls with so many, and what bounds it."""
        compute = work.flops / self.gflops
        if events == 1:
            return compute, "compute"
        memory = work.bytes_per_event(events) / self.gb_s
        return max(compute, memory), "compute" if compute >= memory else "memory"


def measure_rooflines(
    models: Mapping[str, onnx.ModelProto],
    events: Mapping[str, NDArray[np.float32]],
    repeats: int,
    limits: Limits,
) -> tuple[Roof, list[dict[str, Any]]]:
    """The limits, and for each network a row at batch 1 and one with all of its events.

    `models` and `events` (N, *shape) are by network. Every network and every limit is measured once in
    each of the `repeats` rounds, in shuffled order.
    """
    works = {name: count_work(model) for name, model in models.items()}
    tasks: dict[Any, Callable[[], float]] = dict(limits.kernels())
    for name, model in models.items():
        loop = Loop(model, events[name], works[name].output_bytes // 4)
        for size in (1, len(events[name])):
            tasks[name, size] = _task(loop, size)
    found = _in_turn(tasks, repeats)
    medians, highest = (
        Roof(limits.register_bits, *(float(of(found[key])) for key in limits.kernels()))
        for of in (np.median, np.max)
    )
    rows = [
        _row(name, works[name], size, found[name, size], medians, highest)
        for name in models
        for size in (1, len(events[name]))
    ]
    return medians, rows


def _task(loop: Loop, size: int) -> Callable[[], float]:
    return lambda: loop.ns_per_event(size)


def _in_turn(tasks: Mapping[Any, Callable[[], float]], repeats: int) -> dict[Any, list[float]]:
    """What each task gives in each round, the first of which does not count."""
    found: dict[Any, list[float]] = {key: [] for key in tasks}
    keys = list(tasks)
    shuffle = np.random.default_rng(0).permutation
    with progress("C++ loops", total=repeats + 1) as meter:
        for turn in range(repeats + 1):
            for place in shuffle(len(keys)):
                value = tasks[keys[place]]()
                if turn:
                    found[keys[place]].append(value)
            meter(turn + 1)
    return found


def _row(
    name: str, work: Work, events: int, took: list[float], medians: Roof, highest: Roof
) -> dict[str, Any]:
    """Medians; the quickest round too, beside the limits at their best: without what others do."""
    ns, quickest = float(np.median(took)), min(took)
    least, bound = medians.ns(work, events)
    return asdict(work) | {
        "network": name,
        "batch": events,
        "flops": work.flops,
        "bytes_per_event": work.bytes_per_event(events),
        "ns_per_event": ns,
        "gflops": work.flops / ns,
        "roof_ns": least,
        "bound": bound,
        "fraction": least / ns,
        "quickest_ns_per_event": quickest,
        "quickest_fraction": highest.ns(work, events)[0] / quickest,
    }
