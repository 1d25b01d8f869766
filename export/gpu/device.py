"""The card: whether there is one, what it is called, and how a compiled kernel is started on it.

torch owns memory, streams and the context; kernels are started through NVIDIA's own bindings.
"""

import ctypes
from typing import Any

import torch

from triggerforge.errors import MissingToolError, ToolFailedError


def require_gpu() -> torch.device:
    """The current CUDA device; raises MissingToolError without torch for CUDA, driver or card."""
    if torch.version.cuda is None:
        raise MissingToolError(
            f"torch {torch.__version__} is built without CUDA; install torch {_version()} from "
            "PyTorch's CUDA wheels"
        )
    if not torch.cuda.is_available():
        raise MissingToolError(
            "no GPU was found; this engine needs an NVIDIA card and its driver (`nvidia-smi` lists "
            "what the driver sees)"
        )
    return torch.device("cuda", torch.cuda.current_device())


def architecture(device: torch.device) -> str:
    """What the compilers call the card: "sm_90"."""
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"


def timer() -> torch.cuda.Event:
    """A mark on a stream that knows its time."""
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def new_stream(device: torch.device) -> torch.cuda.Stream:
    """A stream beside torch's current one."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class Kernel:
    """One function of machine code, loaded into torch's context."""

    def __init__(self, code: bytes, name: str) -> None:
        from cuda.bindings import driver

        torch.cuda.current_stream().synchronize()  # makes torch's context, and makes it current
        self._driver = driver
        self._module = self._checked(driver.cuModuleLoadData(code))
        self._function = self._checked(driver.cuModuleGetFunction(self._module, name.encode()))

    def start(self, blocks: int, threads: int, *arguments: int) -> None:
        """Enqueues the kernel on torch's current stream; arguments are 64-bit words."""
        words = tuple(arguments), (ctypes.c_int64,) * len(arguments)
        stream = torch.cuda.current_stream().cuda_stream
        shape = (blocks, 1, 1, threads, 1, 1)
        self._checked(self._driver.cuLaunchKernel(self._function, *shape, 0, stream, words, 0))

    def _checked(self, result: tuple[Any, ...]) -> Any:
        status, *values = result
        if status != self._driver.CUresult.CUDA_SUCCESS:
            _, words = self._driver.cuGetErrorString(status)
            raise ToolFailedError(f"CUDA says {status.name}: {words.decode() if words else ''}")
        return values[0] if values else None


def _version() -> str:
    return torch.__version__.partition("+")[0]
