"""Verilator's own C++, which every simulation is linked with: compiled once and kept."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from triggerforge.command import run_tool
from triggerforge.runfolder import cache_folder, file_identity, key_of
from triggerforge.tools import Tool

_SOURCES = ("verilated.cpp", "verilated_threads.cpp")


def verilator_runtime(include: Path, gcc: Tool, flags: Sequence[str], folder: Path) -> Path:
    """The object file of Verilator's C++ in `include`, compiled with `flags`.

    It takes longer to compile than a small design, so it is kept among the user's compiled networks;
    where nothing can be kept it is compiled in `folder`, which keeps the compiler's log as well.
    Two processes may compile it at once: each puts a whole file there.
    Raises ToolFailedError with the compiler's words if it fails.
    """
    sources = [include / name for name in _SOURCES]
    key = key_of(gcc.command, gcc.version, flags, [file_identity(path) for path in sources])
    kept = _writable(cache_folder("verilator"))
    target = (kept or folder / "verilated") / f"{key[:32]}.o"
    if not target.is_file():
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            unit, made = Path(work) / "runtime.cc", Path(work) / "runtime.o"
            unit.write_text("".join(f'#include "{path}"\n' for path in sources))
            run_tool(gcc, [*flags, "-c", str(unit), "-o", str(made)], folder, "runtime.log")
            made.replace(target)
    return target


def _writable(folder: Path) -> Path | None:
    """`folder`, made where it was not there; None where it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
