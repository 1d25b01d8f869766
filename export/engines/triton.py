"""The float network as one fused Triton kernel: activations never leave the SM."""

from pathlib import Path

import torch
from torch import Tensor

from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.export.gpu.fused import write_fused
from triggerforge.export.gpu.runtime import DeviceRuntime
from triggerforge.export.gpu.triton_kernel import DEFAULT, Precision, TritonKernel


class TritonRuntime(DeviceRuntime):
    """An exported ONNX file; `precision` says how products are made; NaN passes.

    Raises ArtifactError if the file is missing, damaged or not ours, UnsupportedOperationError for
    what the engine does not know, MissingToolError without Triton or a card.
    """

    reads_host = True

    def __init__(self, path: Path, precision: Precision = DEFAULT) -> None:
        proto = read_onnx(path)
        contract, outputs = read_metadata(proto, path)
        self._kernel = TritonKernel(write_fused(proto), precision)
        name = "triton" if precision == DEFAULT else f"triton-{precision}"
        shape, device = contract.shape, self._kernel.device
        super().__init__(name, "float", shape, len(outputs), torch.float32, device)

    def enqueue(self, x: Tensor, y: Tensor) -> None:
        """One kernel."""
        self._kernel.start(x, y)
