"""Shared libraries of generated C++, compiled for the CPU of this machine and kept."""

import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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


def compiled(
    sources: Mapping[str, str], cache: Path | None = None, options: Sequence[str] = ()
) -> Path:
    """The library of `sources` (file name -> text), built unless the cache has it.

    `options` are for the compiler, beside those for this machine.

    An entry is one of these sources, this compiler and this CPU's instruction set; a folder that
    was not finished is never one. Two processes may build the same at once: the first one stays.
    Raises MissingToolError without g++, ToolFailedError with the compiler's words if it fails.
    """
    compiler = require("g++")
    flags = (*_FLAGS, *options)
    folder = (cache or cache_folder("native")) / cache_key(compiler, sources, flags)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".build-"))
        try:
            _build(compiler, flags, sources, work)
            work.rename(folder)
        except OSError:
            if not folder.is_dir():  # no other process was first
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder / LIBRARY


def loaded(library: Path) -> Any:
    """The Python module in a compiled library; each file is a module of its own."""
    loader = importlib.machinery.ExtensionFileLoader("network", str(library))
    spec = importlib.util.spec_from_file_location("network", library, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _build(compiler: Tool, flags: Sequence[str], sources: Mapping[str, str], folder: Path) -> None:
    for name, text in sources.items():
        (folder / name).write_text(text)
    units = [name for name in sources if name.endswith(".cc")]
    folders = (sysconfig.get_paths()["include"], np.get_include())
    include = [f"-isystem{path}" for path in folders]
    run_tool(compiler, [*flags, *include, *units, "-o", LIBRARY], folder, "compile.log")


def cache_key(compiler: Tool, sources: Mapping[str, str], flags: Sequence[str] = _FLAGS) -> str:
    """A hash of the sources, the flags, the compiler and the instructions that it finds here."""
    try:
        # the macros name the compiler's version and every instruction set of -march=native
        machine = subprocess.run(
            [*compiler.command, *flags, "-dM", "-E", "-x", "c++", os.devnull],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolFailedError(f"g++ does not say what CPU this is: {error}") from error
    python = f"{sysconfig.get_config_var('SOABI')} numpy {np.__version__}"
    told = [machine, repr(flags).encode(), python.encode()]
    told += [part.encode() for item in sorted(sources.items()) for part in item]
    return hashlib.sha256(b"\0".join(told)).hexdigest()[:32]
