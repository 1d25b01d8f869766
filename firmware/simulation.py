"""The RTL in Verilator: built once, then run cycle by cycle with a new event every clock."""

import ctypes
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.command import run_tool
from triggerforge.errors import ToolFailedError
from triggerforge.firmware.library import flat_events, load_library, seal_library
from triggerforge.firmware.ports import Port
from triggerforge.firmware.template import copy_template, fill_template
from triggerforge.firmware.verilator_runtime import verilator_runtime
from triggerforge.tools import Tool

_LIBRARY = "simulation.so"
_CHUNK = 8192
_ONE_UNIT = 16_000_000
"""bytes of C++ up to which one compilation takes all: each spends seconds on the same headers"""
_P = ctypes.c_void_p
_SIZE = ctypes.c_size_t


def build_simulation(
    sources: list[Path],
    top: str,
    ports: tuple[Port, Port],
    latency: int,
    tools: tuple[Tool, Tool],
    optimize: int,
    folder: Path,
) -> None:
    """Turns Verilog `sources` into folder/simulation.so; `tools` are Verilator and g++.

    Raises ToolFailedError with the end of the log.
    """
    verilator, gcc = tools
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "verilated"
    # relative, because the library remembers them and the folder will move
    files = [os.path.relpath(path.resolve(), folder) for path in sources]
    flags = ["--cc", "-O3", "--top-module", top, "--prefix", "Vdut", "--Mdir", "verilated"]
    # alkaid's modules are linted upstream; the lint says nothing about this design
    quiet = ["-Wno-fatal", "-Wno-lint", "-Wno-style"]
    run_tool(verilator, [*flags, *quiet, *files], folder, "verilator.log")
    into, out = ports
    fill_template(
        "design.h",
        made,
        in_size=into.size,
        in_width=into.width,
        in_fraction=into.fraction,
        out_size=out.size,
        out_width=out.width,
        out_fraction=out.fraction,
        out_signed=str(out.signed).lower(),
    )
    copy_template("bridge.cpp", made)
    _compile(verilator, gcc, optimize, folder)
    shutil.rmtree(made)
    seal_library(folder, _LIBRARY, latency=latency)


def _compile(verilator: Tool, gcc: Tool, optimize: int, folder: Path) -> None:
    """One g++ call: Verilator's own makefile needs a precompiled header that its wheel cannot make."""
    include = Path(_root(verilator, folder)) / "include"
    # two simulations in one process must not share a symbol
    hidden = ["-fvisibility=hidden", "-fno-gnu-unique"]
    flags = ["-std=c++17", f"-O{optimize}", "-fPIC", "-pthread", "-w", *hidden]
    paths = [f"-I{include}", f"-I{include / 'vltstd'}"]
    runtime = verilator_runtime(include, gcc, [*flags, *paths], folder)
    code = sorted((folder / "verilated").glob("*.cpp"))
    if sum(path.stat().st_size for path in code) <= _ONE_UNIT:
        files = ["verilated/all.cc"]
        (folder / files[0]).write_text("".join(f'#include "{path.name}"\n' for path in code))
    else:
        files = [str(path.relative_to(folder)) for path in code]
    given = [*flags, "-shared", "-Iverilated", *paths, "-o", _LIBRARY, *files, str(runtime)]
    run_tool(gcc, given, folder, "g++.log")


def _root(verilator: Tool, folder: Path) -> str:
    """Where Verilator keeps the C++ that goes with what it writes."""
    if root := verilator.environment.get("VERILATOR_ROOT"):
        return root
    found = "verilated/root.txt"
    run_tool(verilator, ["--getenv", "VERILATOR_ROOT"], folder, "root.log", output=found)
    return (folder / found).read_text().strip()


class Simulation:
    """The compiled simulation in `folder`, as `build_simulation` left it.

    Raises ArtifactError where the library is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._library, facts = load_library(folder)
        self._library.rtl_stream.restype = None
        self._library.rtl_stream.argtypes = [_P, _SIZE, _P, _SIZE]
        self._library.rtl_inputs.restype = _SIZE
        self._library.rtl_outputs.restype = _SIZE
        self.inputs = int(self._library.rtl_inputs())
        self.outputs = int(self._library.rtl_outputs())
        self.latency = int(facts["latency"])

    def stream(self, x: NDArray[Any], cycles: int) -> NDArray[np.float64]:
        """The output port (cycles, outputs) after each rising edge from power-up on.

        Row i of x (N, …) is at the input port in cycle i; the last row stays.
        Raises DataError if an event has another number of inputs.
        """
        given = flat_events(x, self.inputs)
        seen = np.empty((cycles, self.outputs))
        self._library.rtl_stream(given.ctypes.data, len(given), seen.ctypes.data, cycles)
        return seen

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs (N, outputs) of x (N, …): one event a clock cycle, read `latency` edges later."""
        flat = flat_events(x, self.inputs)
        parts = [np.empty((0, self.outputs))]
        for start in range(0, len(flat), _CHUNK):
            chunk = flat[start : start + _CHUNK]
            parts.append(self.stream(chunk, len(chunk) + self.latency)[self.latency :])
        return np.concatenate(parts)


def measure_latency(simulation: Simulation, a: NDArray[Any], b: NDArray[Any], limit: int) -> int:
    """Edges from the one that takes in event `b` to the one after which its result is there.

    Event `a` (inputs,) is held, `b` put in for one cycle, then `a` again: the output must change for
    just one cycle, which is what an initiation interval of 1 means.
    Raises ToolFailedError if the output changes never, or for another number of cycles.
    """
    before = limit + 1
    events = np.concatenate([np.tile(a, (before, 1)), b[None], np.tile(a, (limit + 1, 1))])
    seen = simulation.stream(events, len(events))
    changed = np.flatnonzero((seen != seen[before - 1]).any(axis=1))
    pulse = changed[changed >= before] - before
    if len(pulse) != 1:
        raise ToolFailedError(
            f"one event in the pipeline changed the output in {len(pulse)} cycles, not in 1: the "
            "RTL is not a pipeline of initiation interval 1"
        )
    return int(pulse[0])
