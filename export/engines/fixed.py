"""What engines have in common that are built for one number of events at a time."""

import ctypes
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.export.runtime import require_inputs, require_memory

_SMALL = 64
"""up to as many events are computed at once, whatever the best block is"""
_KEPT = 8
_TUNING_ROUNDS = 3


@dataclass(frozen=True)
class Fixed:
    """A network for len(x) events: `run` reads x and writes y, arrays that the engine holds."""

    network: Any
    """whatever `build` gave"""
    x: NDArray[np.float32]
    y: NDArray[Any]
    run: Callable[[], object]


class FixedBatchRuntime(ABC):
    """An engine with a form of its own for each number of events, made when it is first asked for.

    Many events are computed in blocks: what lies between two layers then stays in the CPU's cache,
    which makes large batches several times faster in every runtime. The best of `blocks` is found
    by timing them once. Threads take turns in `predict`, whose arrays are shared.
    """

    model = "float"
    blocks: tuple[int, ...] = (64, 256, 1024, 4096)

    def __init__(self, name: str, shape: tuple[int, ...], outputs: int, kind: Any) -> None:
        self.name = name
        self._shape, self._outputs, self._kind = shape, outputs, np.dtype(kind)
        self._block = 0
        self._sizes: dict[int, Fixed] = {}
        self._turn = threading.RLock()

    @abstractmethod
    def build(self, events: int) -> Any:
        """The runtime's own form of the network for `events` > 0 events."""

    @abstractmethod
    def place(self, network: Any, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], object]:
        """A call that reads x and writes y, which it keeps alive; as few copies as the engine can."""

    def make(self, events: int) -> Fixed:
        """A network for `events` > 0 events with arrays of its own."""
        x = np.zeros((events, *self._shape), np.float32)
        y = np.zeros((events, self._outputs), self._kind)
        network = self.build(events)
        return Fixed(network, x, y, self.place(network, x, y))

    def own(self, events: int) -> Any:
        """A network that a bound call of `events` > 0 events may use beside all others."""
        return self.fixed(events).network

    def fixed(self, events: int) -> Fixed:
        """What `make` gave; the last few are kept."""
        if events not in self._sizes:
            if len(self._sizes) == _KEPT:
                del self._sizes[next(iter(self._sizes))]
            self._sizes[events] = self.make(events)
        return self._sizes[events]

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs)."""
        x = require_inputs(x, self._shape)
        with self._turn:
            block = self._size(len(x))
            if block == len(x):
                return self._once(x) if block else np.empty((0, self._outputs), self._kind)
            y = np.empty((len(x), self._outputs), self._kind)
            for part in _parts(len(x), block):
                y[part] = self._once(x[part])
            return y

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that reads x and writes y; both are kept alive by it."""
        require_memory(x, y, self._shape, self._outputs, self._kind)
        if not len(x):
            return lambda: None
        with self._turn:
            size = self._size(len(x))
            network = self.own(size)
        x = x if x.flags.writeable else _unlocked(x)
        calls = [self.place(network, x[p], y[p]) for p in _parts(len(x), size)]
        if len(calls) == 1:
            return calls[0]  # type: ignore[return-value]  # one frame less; its result is None

        def call() -> None:
            for part in calls:
                part()

        return call

    def _once(self, x: NDArray[np.float32]) -> NDArray[Any]:
        fixed = self.fixed(len(x))
        np.copyto(fixed.x, x)
        fixed.run()
        return fixed.y.copy()

    def _size(self, events: int) -> int:
        """Events to compute at once, of `events`."""
        if events <= _SMALL:
            return events
        self._block = self._block or self._best_block()
        return min(events, self._block)

    def _best_block(self) -> int:
        """The entry of `blocks` with the shortest time an event.

        Inputs are the zeros of `make`, which every fixed-point format has: a table of a quantised network
        has no entry for a number outside its port's range.
        """
        if len(self.blocks) == 1:
            return self.blocks[0]
        took = {}
        for events in self.blocks:
            fixed = self.make(events)
            fixed.run()
            rounds = _TUNING_ROUNDS * max(self.blocks) // events
            start = time.perf_counter()
            for _ in range(rounds):
                fixed.run()
            took[events] = (time.perf_counter() - start) / (rounds * events)
        return min(took, key=took.__getitem__)


def _unlocked(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The memory of a read-only x, which it keeps alive: some runtimes refuse to read such an array."""
    memory = (ctypes.c_float * x.size).from_address(x.ctypes.data)
    memory.owner = x  # type: ignore[attr-defined]
    unlocked: NDArray[np.float32] = np.frombuffer(memoryview(memory), np.float32)
    return unlocked.reshape(x.shape)


def _parts(events: int, block: int) -> list[slice]:
    """Slices of `block` events that cover all; the last overlaps where `block` does not divide."""
    starts = [min(start, events - block) for start in range(0, events, block)]
    return [slice(start, start + block) for start in starts]
