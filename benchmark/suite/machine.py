"""This machine: what it is, and what its core and its memory reach."""

import ctypes
import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from triggerforge.errors import MissingToolError
from triggerforge.export.native.build import compiled
from triggerforge.export.native.text import filled
from triggerforge.tools import require

_SETS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "asimd", "asimddp", "sve")
"""instruction sets that matter to dense products, as /proc/cpuinfo names them"""
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNKNOWN_CACHE = 64 << 20
_SMALLEST_ARRAY = 64 << 20
_ROUNDS = 1_000_000


def describe() -> dict[str, Any]:
    """Instruction sets, cores, compiler and load; CPU and packages are in the record's context."""
    return {
        "isa": _instruction_sets(),
        "cores": len(cores()),
        "last_cache_bytes": last_cache_bytes(),
        "compiler": _compiler(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def cores() -> list[int]:
    """The cores that this process may use; one where the system does not say which."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def last_cache_bytes(folder: Path = _CACHES) -> int:
    """Size of the largest cache; 64 MiB where the system does not say."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = []
    for path in folder.glob("index*/size"):
        text = path.read_text().strip()
        if text[:-1].isdecimal() and text[-1] in units:
            sizes.append(int(text[:-1]) * units[text[-1]])
    return max(sizes, default=_UNKNOWN_CACHE)


def template(name: str) -> str:
    """The text of one of the C++ files in `templates`."""
    return (files("triggerforge.benchmark") / "suite" / "templates" / name).read_text()


class Limits:
    """Kernels that measure the limits of the core that they run on, compiled for it.

    Raises MissingToolError without g++.
    """

    def __init__(self, array_bytes: int | None = None) -> None:
        sources = filled({"vectors.h": False}, {}) | {"machine.cc": template("machine.cc")}
        self._library = ctypes.CDLL(str(compiled(sources)))
        for name in ("operations", "register_bits"):
            getattr(self._library, f"triggerforge_{name}").restype = ctypes.c_long
        for name in ("products", "read", "triad"):
            getattr(self._library, f"triggerforge_{name}").restype = ctypes.c_longlong
        size = array_bytes or max(_SMALLEST_ARRAY, 2 * last_cache_bytes())
        self._arrays = [np.ones(size // 4 // 1024 * 1024, np.float32) for _ in range(3)]
        self._factors = np.array([0.999, 0.001], np.float32)  # towards 1: never small, never large
        self._out = np.zeros(16, np.float32)

    @property
    def register_bits(self) -> int:
        """Width of the registers in use."""
        return int(self._library.triggerforge_register_bits())

    def gflops(self) -> float:
        """Multiply-adds in registers, two operations each, in 10^9 operations a second."""
        ns = self._library.triggerforge_products(
            _at(self._factors), _at(self._out), ctypes.c_long(_ROUNDS)
        )
        return float(self._library.triggerforge_operations()) * _ROUNDS / float(ns)

    def read_gb_s(self) -> float:
        """Floats read from memory in 10^9 bytes a second."""
        first = self._arrays[0]
        ns = self._library.triggerforge_read(_at(first), _at(self._out), ctypes.c_long(first.size))
        return first.nbytes / float(ns)

    def triad_gb_s(self) -> float:
        """STREAM's triad, two arrays read and one written, in 10^9 bytes a second."""
        first, second, to = self._arrays
        ns = self._library.triggerforge_triad(
            *(_at(a) for a in (first, second, to)), ctypes.c_float(0.5), ctypes.c_long(first.size)
        )
        return 3 * first.nbytes / float(ns)

    def kernels(self) -> dict[str, Callable[[], float]]:
        """All of them, by the name that their figure has in the record."""
        return {
            "gflops": self.gflops,
            "read_gb_s": self.read_gb_s,
            "triad_gb_s": self.triad_gb_s,
        }


def _at(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _instruction_sets() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    flags = {
        flag
        for line in text.splitlines()
        if line.lower().startswith(("flags", "features"))
        for flag in line.partition(":")[2].split()
    }
    return [name for name in _SETS if name in flags]


def _compiler() -> str | None:
    try:
        return f"g++ {require('g++').version}"
    except MissingToolError:
        return None
