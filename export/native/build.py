"""Shared libraries of generated C++, compiled for the CPU of this machine and kept."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from triggerforge.command import run_tool
from triggerforge.errors import ToolFailedError
from triggerforge.runfolder import cache_folder
from triggerforge.tools import Tool, require

LIBRARY = "network.so"
_FLAGS = (
    *("-O3", "-march=native", "-std=c++20", "-fPIC", "-shared", "-fvisibility=hidden"),
    "-fwrapv",  # integers are the wires of a circuit: shifted, they lose what lies above
    "-Wno-psabi",
)


def compiled(sources: Mapping[str, str], cache: Path | None = None) -> Path:
    """The library of `sources` (file name -> text), built unless the cache has it.

    An entry is one of these sources, this compiler and this CPU's instruction set; a folder that
    was not finished is never one. Two processes may build the same at once: the first one stays.
    Raises MissingToolError without g++, ToolFailedError with the compiler's words if it fails.
    """
    compiler = require("g++")
    folder = (cache or cache_folder("native")) / cache_key(compiler, sources)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".build-"))
        try:
            _build(compiler, sources, work)
            work.rename(folder)
        except OSError:
            if not folder.is_dir():  # no other process was first
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder / LIBRARY


def _build(compiler: Tool, sources: Mapping[str, str], folder: Path) -> None:
    for name, text in sources.items():
        (folder / name).write_text(text)
    units = [name for name in sources if name.endswith(".cc")]
    python = f"-I{sysconfig.get_paths()['include']}"
    run_tool(compiler, [*_FLAGS, python, *units, "-o", LIBRARY], folder, "compile.log")


def cache_key(compiler: Tool, sources: Mapping[str, str]) -> str:
    """A hash of the sources, the flags, the compiler and the instructions that it finds here."""
    try:
        # the macros name the compiler's version and every instruction set of -march=native
        machine = subprocess.run(
            [*compiler.command, *_FLAGS, "-dM", "-E", "-x", "c++", os.devnull],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolFailedError(f"g++ does not say what CPU this is: {error}") from error
    told = [machine, repr(_FLAGS).encode(), str(sysconfig.get_config_var("SOABI")).encode()]
    told += [part.encode() for item in sorted(sources.items()) for part in item]
    return hashlib.sha256(b"\0".join(told)).hexdigest()[:32]
