"""The C simulation in a process of its own: real libraries, compiled here, that end it on purpose."""

import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from triggerforge.errors import ArtifactError, ToolFailedError
from triggerforge.firmware.csim import CSimulation
from triggerforge.firmware.library import seal_library

CODE = """
#include <cstdio>
#include <cstdlib>
extern "C" void top(const double* x, double* y) {
    std::puts("printed by the library");
    std::fflush(stdout);
    if (x[0] == 7) std::abort();
    if (x[0] == 8) { volatile int* nowhere = nullptr; *nowhere = 1; }
    if (x[0] == 9) std::exit(3);
    y[0] = x[0] + x[1];
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("csim")
    (folder / "top.cpp").write_text(CODE)
    subprocess.run(
        ["g++", "-shared", "-fPIC", "-o", "top.so", "top.cpp"], cwd=folder, check=True, timeout=60
    )
    seal_library(folder, "top.so", function="top", inputs=2, outputs=1)
    return folder


@pytest.mark.parametrize(("value", "told"), [(7, "SIGABRT"), (8, "SIGSEGV"), (9, "status 3")])
def test_its_end_is_an_error_and_the_next_call_goes_on(
    library: Path, value: int, told: str
) -> None:
    simulation = CSimulation(library)
    x = np.arange(20.0).reshape(-1, 2) / 64
    np.testing.assert_array_equal(simulation.predict(x), x.sum(axis=1, keepdims=True))
    deadly = x.copy()
    deadly[4, 0] = value
    with pytest.raises(ToolFailedError, match=rf"C simulation ended with {told}"):
        simulation.predict(deadly)
    np.testing.assert_array_equal(simulation.predict(x), x.sum(axis=1, keepdims=True))


def test_more_than_a_pipe_holds_and_nothing_at_all(library: Path) -> None:
    simulation = CSimulation(library)
    x = np.random.default_rng(1).integers(-6, 6, (20_000, 2)).astype(float)
    np.testing.assert_array_equal(simulation.predict(x), x.sum(axis=1, keepdims=True))
    assert simulation.predict(np.zeros((0, 2))).shape == (0, 1)


def test_threads_take_turns(library: Path) -> None:
    simulation = CSimulation(library)
    wrong: list[int] = []

    def ask(seed: int) -> None:
        x = np.random.default_rng(seed).integers(-6, 6, (200, 2)).astype(float)
        wrong.append(int((simulation.predict(x) != x.sum(axis=1, keepdims=True)).sum()))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * 8


def test_it_ends_with_its_owner(library: Path) -> None:
    simulation = CSimulation(library)
    assert simulation._process is not None
    process = simulation._process
    os.kill(process.pid, 0)
    del simulation
    assert process.returncode == 0


def test_a_library_that_does_not_load(library: Path, tmp_path: Path) -> None:
    (tmp_path / "top.so").write_bytes(b"no library")
    seal_library(tmp_path, "top.so", function="top", inputs=2, outputs=1)
    with pytest.raises(ArtifactError, match="does not start .*run the stage firmware again"):
        CSimulation(tmp_path)
    seal_library(library, "top.so", function="absent", inputs=2, outputs=1)
    try:
        with pytest.raises(ArtifactError, match="does not start .*absent"):
            CSimulation(library)
    finally:
        seal_library(library, "top.so", function="top", inputs=2, outputs=1)
