"""Calls of tools: the log, failures, time limits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from triggerforge.command import log_tail, run_tool
from triggerforge.errors import ToolFailedError
from triggerforge.tools import Tool

SHELL = Tool("shell", "", "", True, command=("/bin/sh", "-c"))


def test_runs_in_the_folder_and_keeps_the_log(tmp_path: Path) -> None:
    run_tool(SHELL, ["pwd; echo warning >&2"], tmp_path, "log")
    assert (tmp_path / "log").read_text().split() == [str(tmp_path), "warning"]


def test_standard_output_can_be_a_result(tmp_path: Path) -> None:
    run_tool(SHELL, ["echo netlist; echo note >&2"], tmp_path, "log", output="out.v")
    assert (tmp_path / "out.v").read_text() == "netlist\n"
    assert (tmp_path / "log").read_text() == "note\n"


def test_output_of_an_earlier_call_is_replaced(tmp_path: Path) -> None:
    for text in ("one", "two"):
        run_tool(SHELL, [f"echo {text}"], tmp_path, "log", output="out")
    assert (tmp_path / "out").read_text() == "two\n"


def test_failure_shows_status_and_end_of_log(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="status 3") as caught:
        run_tool(SHELL, ["for i in $(seq 100); do echo line $i; done; exit 3"], tmp_path, "log")
    assert "line 100" in str(caught.value)
    assert "line 50\n" not in str(caught.value)


def test_errors_are_shown_without_the_noise_around_them(tmp_path: Path) -> None:
    script = (
        "echo a.cpp:1:1: error: expected a name; for i in $(seq 50); do echo warning: $i; done; "
        "for i in $(seq 9); do echo %Error-SYNTAX: b.v:$i: unexpected; done; exit 1"
    )
    with pytest.raises(ToolFailedError) as caught:
        run_tool(SHELL, [script], tmp_path, "log")
    told = str(caught.value).splitlines()
    assert told[0] == "shell ended with status 1; errors in its log, the first 5 of 10:"
    assert told[1] == "a.cpp:1:1: error: expected a name"
    assert told[5] == "%Error-SYNTAX: b.v:4: unexpected"
    assert len(told) == 6
    assert "warning: 50" in (tmp_path / "log").read_text()


def test_crash_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="status -11"):
        run_tool(SHELL, ["kill -SEGV $$"], tmp_path, "log")


def test_time_limit_stops_the_tool_and_its_children(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"longer than 0.2 s"):
        run_tool(SHELL, ["sleep 60 & echo $! > child; wait"], tmp_path, "log", timeout_s=0.2)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _alive(child):
            return
        time.sleep(0.05)
    pytest.fail("the child of the tool is alive")


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_missing_program(tmp_path: Path) -> None:
    gone = Tool("gone", "", "", True, command=(str(tmp_path / "gone"),))
    with pytest.raises(ToolFailedError, match="gone does not start"):
        run_tool(gone, [], tmp_path, "log")


def test_environment_of_the_tool_is_added(tmp_path: Path) -> None:
    tool = Tool("sh", "", "", True, SHELL.command, environment={"VERILATOR_ROOT": "/here"})
    run_tool(tool, ['echo "$VERILATOR_ROOT"'], tmp_path, "log")
    assert (tmp_path / "log").read_text() == "/here\n"
    assert "VERILATOR_ROOT" not in os.environ


def test_tail_of_an_empty_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    assert log_tail(tmp_path / "log") == "(the log is empty)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_tool_and_all_that_it_started(tmp_path: Path, number: int) -> None:
    """What a batch system sends reaches one process: the tools are sessions of their own."""
    code = (
        "import sys; from pathlib import Path\n"
        "from triggerforge.border import answer\n"
        "from triggerforge.command import run_tool\n"
        "from triggerforge.tools import Tool\n"
        "shell = Tool('shell', '', '', True, command=('/bin/sh', '-c'))\n"
        "sys.exit(answer(lambda: run_tool(shell, [sys.argv[1]], Path(), 'log')))\n"
    )
    script = "sleep 600 & echo $! > child; echo $$ > shell; wait"
    process = subprocess.Popen(
        [sys.executable, "-c", code, script], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "shell").exists() or not (tmp_path / "shell").read_text():
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate()[1]
    assert process.returncode == 128 + number and said.count("\n") == 1
    for name in ("child", "shell"):
        left = int((tmp_path / name).read_text())
        for _ in range(500):  # the system takes its time
            if not is_alive(left):
                break
            time.sleep(0.02)
        assert not is_alive(left)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
