"""What the GPU engines have in common: arrays of the host go to the card and back."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triggerforge.export.gpu.device import new_stream
from triggerforge.export.runtime import require_buffers, require_inputs

_TURN = threading.RLock()
"""on the card one thread at a time computes, or records a graph: while one is recorded, CUDA refuses others"""
_DIRECT = 2**16
"""bytes of x and y that a kernel reads and writes in the host's memory sooner than they are copied"""


class DeviceRuntime(ABC):
    """Outputs (N, `outputs`) of type `kind` for inputs (N, *`shape`); a subclass fills `enqueue`."""

    reads_host = False
    """whether `enqueue` also takes pinned memory of the host"""

    def __init__(
        self,
        name: str,
        model: str,
        shape: tuple[int, ...],
        outputs: int,
        kind: torch.dtype,
        device: torch.device,
    ) -> None:
        self.name, self.model, self.card = name, model, device
        self.device = device.type
        self.shape, self.outputs, self.kind = shape, outputs, kind
        self._array_kind = torch.empty(0, dtype=kind).numpy().dtype

    @abstractmethod
    def enqueue(self, x: Tensor, y: Tensor) -> None:
        """Puts the network on torch's current stream: x (N, *shape) to y (N, outputs), on the card."""

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs) through memory of the card that is taken anew for every call."""
        x = require_inputs(x, self.shape)
        with _TURN:
            y = torch.empty((len(x), self.outputs), dtype=self.kind, device=self.card)
            if len(x):
                self.enqueue(torch.from_numpy(x).to(self.card), y)
            outputs: NDArray[Any] = y.cpu().numpy()
        return outputs

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that replays one CUDA graph: x is copied in, the network runs, y is copied out.

        Few events are not copied where the kernel itself reads the host's memory.
        """
        require_buffers(x, y, self.shape, self.outputs, self._array_kind)
        source, target = torch.from_numpy(x), torch.from_numpy(y)
        with _TURN:
            host_x, host_y = self.pinned(source), self.pinned(target)
            work = self._work(host_x, host_y)
            run = captured(work, self.card) if self.device == "cuda" else work

        def call() -> None:
            host_x.copy_(source)
            run()
            self.wait()
            target.copy_(host_y)

        return call

    def _work(self, host_x: Tensor, host_y: Tensor) -> Callable[[], None]:
        """What a bound call puts on the stream."""
        if not len(host_x):
            return lambda: None
        if self.reads_host and host_x.nbytes + host_y.nbytes <= _DIRECT:
            return lambda: self.enqueue(host_x, host_y)
        device_x, device_y = host_x.to(self.card), host_y.to(self.card)

        def work() -> None:
            device_x.copy_(host_x, non_blocking=True)
            self.enqueue(device_x, device_y)
            host_y.copy_(device_y, non_blocking=True)

        return work

    def pinned(self, like: Tensor) -> Tensor:
        """Memory of the host that the card reads and writes by itself."""
        return torch.zeros_like(like, pin_memory=self.device == "cuda")

    def wait(self) -> None:
        """Returns when everything on torch's current stream is done."""
        if self.device == "cuda":
            torch.cuda.current_stream(self.card).synchronize()


def captured(work: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`work` recorded in a CUDA graph; calling it replays the graph on torch's current stream.

    It runs a few times first: libraries take memory and compile at their first calls.
    """
    stream = new_stream(device)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], None] = graph.replay
    return replay
