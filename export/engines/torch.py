"""The full-precision torch module on the CPU."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triggerforge.export.runtime import require_buffers, require_inputs
from triggerforge.training.trained import TrainedModel


class TorchRuntime:
    """Eager torch in inference mode; how many threads is torch's own setting."""

    name = "torch"
    model = "float"

    def __init__(self, trained: TrainedModel) -> None:
        self._shape = trained.contract.shape
        self._outputs = len(trained.task.outputs)
        self._module = copy.deepcopy(trained.module).cpu().eval()

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs), float32."""
        x = require_inputs(x, self._shape)
        with torch.inference_mode():
            outputs: NDArray[Any] = self._module(torch.from_numpy(x)).numpy()
        return outputs

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call on tensors that share the memory of x and y; the last layer's output is copied."""
        require_buffers(x, y, self._shape, self._outputs, np.float32)
        source, target, module = torch.from_numpy(x), torch.from_numpy(y), self._module

        def call() -> None:
            with torch.inference_mode():
                target.copy_(module(source))

        return call
