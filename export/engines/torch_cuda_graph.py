"""The full-precision torch module on a GPU, a bound call replayed as one CUDA graph."""

import copy
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from triggerforge.export.gpu.device import require_gpu
from triggerforge.export.gpu.runtime import DeviceRuntime
from triggerforge.training.trained import TrainedModel


class TorchCudaGraphRuntime(DeviceRuntime):
    """torch's own kernels, in IEEE float32; raises MissingToolError without a card or torch for it."""

    def __init__(self, trained: TrainedModel) -> None:
        shape, outputs = trained.contract.shape, len(trained.task.outputs)
        super().__init__("torch-cuda-graph", "float", shape, outputs, torch.float32, require_gpu())
        self.module = copy.deepcopy(trained.module).to(self.card).eval()

    def enqueue(self, x: Tensor, y: Tensor) -> None:
        """Layer by layer."""
        with torch.inference_mode(), without_tf32():
            y.copy_(self.module(x))


def without_tf32() -> AbstractContextManager[Any]:
    """A context in which convolutions multiply all bits of a float32; products of matrices do anyway."""
    settings: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=False, allow_tf32=False
    )
    return settings
