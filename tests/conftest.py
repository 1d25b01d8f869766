"""What every test folder shares: a test process does not keep what earlier modules compiled."""

import gc
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

_CACHE = Path(__file__).parents[1] / ".pytest_cache"
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
# a third of the suite's time went into compiling the same small functions again, in every module and
# every process that a test starts. A folder for each worker: JAX does not write its files at once
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": str(_CACHE / "jax" / _WORKER),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "XDG_CACHE_HOME": str(_CACHE / "xdg"),  # compiled networks: the user's own are left alone
    # XLA's former way to write code for the CPU takes a quarter less time over hundreds of small functions
    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip(),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first: at the end no worker waits minutes for the other's last test."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


_GROWTH = 512 * 1024
"""KiB by which this process has become larger than ever before it forgets again"""
_largest = SimpleNamespace(kib=0)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_functions() -> Iterator[None]:
    """JAX and Keras keep every compiled function and graph: gigabytes over the whole suite.

    To forget takes two seconds, so it is done only where this process has grown.
    """
    yield
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if "keras" in sys.modules and "jax" in sys.modules and kib > _largest.kib + _GROWTH:
        _largest.kib = kib
        sys.modules["keras"].backend.clear_session()
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small disk of its own: tmpfs("256k") → its folder. Skips where nobody may mount."""
    mounted: list[Path] = []

    def mount(size: str, name: str = "disk") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
