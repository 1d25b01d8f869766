"""CUDA C++ compiled at run time by NVRTC, and kept: no card and no driver are needed for that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triggerforge.errors import MissingToolError, ToolFailedError
from triggerforge.export.gpu.cache import hashed, kept
from triggerforge.export.gpu.source import HEADERS
from triggerforge.export.native.text import filled

_OPTIONS = (
    "-std=c++20",
    "-default-device",  # the CPU's headers know nothing of __device__
    "-fmad=true",
    "-diag-suppress=1097",  # g++'s vector types: no kernel uses them
)
_HOW = (
    "install the dependency group `gpu` (`uv pip install --group gpu`), or torch with CUDA, which "
    "brings it"
)


def compiled_cubin(
    sources: Mapping[str, str], main: str, architecture: str, cache: Path | None = None
) -> bytes:
    """Machine code of `main` for an architecture, "sm_90"; from the cache after the first time.

    Raises MissingToolError without NVRTC, ToolFailedError with the compiler's words if it fails.
    """
    compiler = nvrtc()
    told = [repr(compiler.nvrtcVersion()), repr(_OPTIONS), main, architecture]
    told += [part for item in sorted(sources.items()) for part in item]
    name = f"{hashed(told)}.cubin"
    return kept(
        name, lambda: _compile(compiler, dict(sources), main, architecture), cache
    ).read_bytes()


def nvrtc() -> Any:
    """NVIDIA's bindings to the compiler, which is loaded; raises MissingToolError without it."""
    try:
        from cuda.bindings import nvrtc as compiler

        compiler.nvrtcVersion()
    except (ImportError, RuntimeError) as error:
        # RuntimeError: the bindings are there, the library is not
        raise MissingToolError(f"NVRTC was not found; {_HOW}") from error
    return compiler


def _compile(compiler: Any, sources: dict[str, str], main: str, architecture: str) -> bytes:
    headers = filled(HEADERS, {}, "gpu") | {n: t for n, t in sources.items() if n != main}
    names = [name.encode() for name in headers]
    texts = [text.encode() for text in headers.values()]
    _, program = compiler.nvrtcCreateProgram(
        sources[main].encode(), main.encode(), len(names), texts, names
    )
    options = [o.encode() for o in (*_OPTIONS, f"--gpu-architecture={architecture}")]
    try:
        (status,) = compiler.nvrtcCompileProgram(program, len(options), options)
        if status != compiler.nvrtcResult.NVRTC_SUCCESS:
            raise ToolFailedError(f"NVRTC does not compile {main}: {_log(compiler, program)}")
        _, size = compiler.nvrtcGetCUBINSize(program)
        code: bytes = b" " * size
        compiler.nvrtcGetCUBIN(program, code)
        return code
    finally:
        compiler.nvrtcDestroyProgram(program)


def _log(compiler: Any, program: Any) -> str:
    _, size = compiler.nvrtcGetProgramLogSize(program)
    text: bytes = b" " * size
    compiler.nvrtcGetProgramLog(program, text)
    return text.rstrip(b"\0 \n").decode(errors="replace")[-2000:]
