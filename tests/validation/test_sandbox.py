"""Whatever a task does, the process that started it lives and says what it was."""

import ctypes
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from triggerforge.errors import DataError
from triggerforge.validation.guard import Bait
from triggerforge.validation.sandbox import Limits, limited


def _raises(error: BaseException) -> Callable[[], str]:
    def task() -> str:
        raise error

    return task


def _hidden_memory_error() -> str:
    try:
        np.ones(2**29)
    except MemoryError as error:
        raise DataError("the file is damaged") from error
    return ""


def _holds_all() -> str:
    held = []
    while True:
        held.append("a" * 2**20)


def _spins() -> str:
    while True:
        pass


def _swallows() -> str:
    try:
        Path("/root/.profile").read_bytes()
    except BaseException:  # noqa: BLE001  as careless as a library may be
        return "nothing happened"
    return ""


class _Ran:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.getenv, ("HOME",)


TASKS: dict[str, tuple[Callable[[], str], str, str]] = {
    "a result": (lambda: "60 events", "read", "60 events"),
    "an error of ours": (_raises(DataError("x.h5 is cut")), "refused", "x.h5 is cut"),
    "two lines": (_raises(DataError("x.h5\nis cut")), "lines", "is cut"),
    "any other error": (_raises(ValueError("bad")), "traceback", "ValueError: bad"),
    "an exit": (_raises(SystemExit(0)), "traceback", "SystemExit"),
    "4 GiB": (lambda: str(np.ones(2**29)), "memory", "allocate"),
    "4 GiB in an error of ours": (_hidden_memory_error, "memory", "is damaged"),
    "all there is": (_holds_all, "memory", "MemoryError"),
    "no end": (_spins, "time", "1 s of CPU"),
    "a sleep": (lambda: str(time.sleep(100)), "time", "no end"),
    "a segmentation fault": (lambda: ctypes.string_at(0).decode(), "crash", "Segmentation"),
    "an end without a word": (lambda: os._exit(3), "crash", "status 3"),
    "a foreign file": (lambda: Path("/root/.profile").read_text(), "violation", "to read"),
    "a foreign file, swallowed": (_swallows, "violation", "/root/.profile"),
    "a file written outside": (lambda: str(Path("/tmp/x").write_text("")), "violation", "to write"),
    "a process": (lambda: subprocess.getoutput("true"), "violation", "subprocess.Popen"),
    "a socket": (
        lambda: str(socket.create_connection(("127.0.0.1", 9))),
        "violation",
        "socket.",
    ),
    "a pickle": (lambda: pickle.loads(pickle.dumps(_Ran())), "violation", "pickle.find_class"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", TASKS)
def test_what_became_of_a_task(name: str, tmp_path: Path) -> None:
    task, kind, text = TASKS[name]
    wall = 2 if name == "a sleep" else 60
    outcome = limited(task, tmp_path, Limits(memory=2**28, seconds=1, wall=wall))
    assert (outcome.kind, text in outcome.text) == (kind, True), outcome
    assert outcome.good == (kind in ("read", "refused"))


def test_a_task_reads_and_writes_its_own_folder(tmp_path: Path) -> None:
    def task() -> str:
        (tmp_path / "a").write_text("b")
        return (tmp_path / "a").read_text()

    assert limited(task, tmp_path).text == "b"


def test_bait_sees_a_library_that_opens_by_itself(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    with Bait(tmp_path) as bait:
        assert not bait.taken()
        libc = ctypes.CDLL(None)  # no audit hook sees this open
        handle = libc.open(os.fsencode(tmp_path / "secret"), os.O_RDONLY)
        os.close(handle)
        assert bait.taken() and not bait.taken()
