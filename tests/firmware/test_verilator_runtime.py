"""Verilator's own C++: compiled once for all simulations, in the run's folder where nothing is kept."""

from pathlib import Path

import pytest

from triggerforge.errors import ToolFailedError
from triggerforge.firmware.verilator_runtime import verilator_runtime
from triggerforge.tools import require


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """A folder with two small sources in the place of Verilator's."""
    folder = tmp_path / "include"
    folder.mkdir()
    (folder / "verilated.cpp").write_text("int first() { return 1; }\n")
    (folder / "verilated_threads.cpp").write_text("int second() { return 2; }\n")
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A simulation's folder, and a cache that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "work" / "verilated").mkdir(parents=True)
    return tmp_path / "work"


def test_it_is_compiled_once_for_flags_and_sources(include: Path, work: Path) -> None:
    gcc = require("g++")
    first = verilator_runtime(include, gcc, ["-O0"], work)
    (work / "runtime.log").unlink()
    assert verilator_runtime(include, gcc, ["-O0"], work) == first
    assert not (work / "runtime.log").exists()  # no compiler ran
    assert verilator_runtime(include, gcc, ["-O1"], work) != first
    (include / "verilated.cpp").write_text("int first() { return 10; }\n")
    assert verilator_runtime(include, gcc, ["-O0"], work) != first


def test_where_nothing_can_be_kept_it_is_compiled_in_the_folder(
    include: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(include / "verilated.cpp"))  # a file: no folder in it
    made = verilator_runtime(include, require("g++"), ["-O0"], work)
    assert made.parent == work / "verilated" and made.is_file()


def test_a_broken_source_leaves_nothing_behind(include: Path, work: Path, tmp_path: Path) -> None:
    (include / "verilated.cpp").write_text("int first( {\n")
    with pytest.raises(ToolFailedError, match="error"):
        verilator_runtime(include, require("g++"), ["-O0"], work)
    assert list((tmp_path / "cache" / "triggerforge" / "verilator").iterdir()) == []
