"""The float network as a kernel that stays on the card: the lowest latency for single events."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.export.gpu.cooperative import ENTRY, MAIN, THREADS, write_persistent_source
from triggerforge.export.gpu.device import Kernel, architecture, new_stream, require_gpu
from triggerforge.export.gpu.mailbox import Mailbox, room
from triggerforge.export.gpu.nvrtc import compiled_cubin
from triggerforge.export.runtime import require_buffers, require_inputs

_IDLE = 1_000_000_000
"""ns without an event after which the kernel ends, so that nothing on the card waits longer"""


class PersistentRuntime:
    """Events go one by one through mapped memory of the host. A second thread is refused by ModelError.

    Raises ArtifactError if the file is missing, damaged or not ours, UnsupportedOperationError for
    what it does not know, MissingToolError without a card, its driver, NVRTC or g++.
    """

    name = "cuda-persistent"
    model = "float"
    device = "cuda"

    def __init__(self, path: Path) -> None:
        proto = read_onnx(path)
        contract, classes = read_metadata(proto, path)
        self._shape, self._outputs = contract.shape, len(classes)
        sources, inputs, outputs = write_persistent_source(proto)
        device = require_gpu()
        self._kernel = Kernel(compiled_cubin(sources, MAIN, architecture(device)), ENTRY)
        self._stream = new_stream(device)
        memory = torch.zeros(room(inputs, outputs), dtype=torch.uint8, pin_memory=True)
        self._mailbox = Mailbox(memory.numpy(), inputs, outputs, self._start)

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs)."""
        x = require_inputs(x, self._shape)
        y = np.empty((len(x), self._outputs), np.float32)
        for call in self._calls(x, y):
            call()
        return y

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that hands over x event by event, and has y when it returns."""
        require_buffers(x, y, self._shape, self._outputs, np.float32)
        calls = self._calls(x, y)
        if len(calls) == 1:
            return calls[0]

        def call() -> None:
            for one in calls:
                one()

        return call

    def _calls(self, x: NDArray[np.float32], y: NDArray[Any]) -> list[Callable[[], None]]:
        return [self._mailbox.bind(*pair) for pair in zip(x, y, strict=True)]

    def _start(self, answered: int) -> None:
        with torch.cuda.stream(self._stream):
            self._kernel.start(1, THREADS, *self._mailbox.addresses, answered, _IDLE)
