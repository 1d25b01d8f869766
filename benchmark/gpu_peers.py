"""Whom the GPU engines are measured against: torch.compile and onnxruntime's CUDA provider."""

from collections.abc import Callable

import onnxruntime as ort
import torch
from torch import Tensor

from triggerforge.export.engines.torch_cuda_graph import TorchCudaGraphRuntime, without_tf32
from triggerforge.export.files import FLOAT_FILE
from triggerforge.export.runtime import EngineSource

Enqueue = Callable[[Tensor, Tensor], None]
_PROVIDER = "CUDAExecutionProvider"


def peers(
    source: EngineSource, device: torch.device, say: Callable[[str], None]
) -> dict[str, Enqueue]:
    """By name, what computes y (N, outputs) from x (N, *shape), both on the card.

    `say` is told of those that cannot run. TF32 is off in all of them.
    """
    assert source.trained is not None
    made = {"torch-compile": _compiled(TorchCudaGraphRuntime(source.trained).module)}
    if _PROVIDER in ort.get_available_providers():
        made["onnxruntime-cuda"] = _onnxruntime(source, device)
    else:
        say("onnxruntime-cuda not run: install onnxruntime-gpu in place of onnxruntime")
    return made


def _compiled(module: torch.nn.Module) -> Enqueue:
    compiled = torch.compile(module, dynamic=False)
    # every batch size is one compilation, and torch stops at eight
    torch._dynamo.config.recompile_limit = 64

    def enqueue(x: Tensor, y: Tensor) -> None:
        with torch.inference_mode(), without_tf32():
            y.copy_(compiled(x))

    return enqueue


def _onnxruntime(source: EngineSource, device: torch.device) -> Enqueue:
    assert source.export_folder is not None
    stream = torch.cuda.current_stream(device).cuda_stream
    options = {"device_id": device.index, "use_tf32": "0", "user_compute_stream": str(stream)}
    session = ort.InferenceSession(
        str(source.export_folder / FLOAT_FILE), providers=[(_PROVIDER, options)]
    )
    unawaited = ort.RunOptions()
    unawaited.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def enqueue(x: Tensor, y: Tensor) -> None:
        binding = session.io_binding()
        kind = "float32"
        binding.bind_input("x", "cuda", device.index, kind, tuple(x.shape), x.data_ptr())
        binding.bind_output("logits", "cuda", device.index, kind, tuple(y.shape), y.data_ptr())
        session.run_with_iobinding(binding, unawaited)

    return enqueue
