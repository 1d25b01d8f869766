"""Where a training runs: device, threads, precision, and deterministic arithmetic."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from triggerforge.config.train import TrainConfig
from triggerforge.errors import MissingToolError


def choose_device(config: TrainConfig) -> torch.device:
    """The device of `config`; raises MissingToolError if a GPU is asked for that is not there."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(config.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MissingToolError(
            f"train.device is {config.device!r}, but torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} GPUs; set `train.device: auto`, or install a CUDA build"
        )
    return device


def uses_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Whether the forward pass is computed in bfloat16."""
    return (
        config.mixed_precision == "auto"
        and device.type == "cuda"
        and torch.cuda.is_bf16_supported()
    )


@contextmanager
def deterministic(seed: int, threads: int | None, device: torch.device) -> Iterator[None]:
    """Within: random numbers from `seed`, deterministic kernels, `threads` CPU threads.

    What was set before is set again afterwards.
    """
    # cuBLAS is deterministic only with a fixed workspace
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads()
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            torch.use_deterministic_algorithms(True)
            torch.set_num_threads(threads or before)
            yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.set_num_threads(before)


def describe_device(device: torch.device) -> str:
    """The device in words, such as "cpu (2 threads)" or "cuda (NVIDIA H100)"."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"
