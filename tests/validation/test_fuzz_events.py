"""The fuzz of event files: of every format, the same again under a seed, and it finds what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from triggerforge.data.readers.base import READERS
from triggerforge.errors import DataError
from triggerforge.validation import fuzz_events
from triggerforge.validation.fuzz_events import Fuzz, samples


def test_every_format_is_there() -> None:
    assert {sample.format for sample in samples()} == set(READERS)


def test_a_number_is_the_same_file_again(tmp_path: Path) -> None:
    fuzz = Fuzz(3, tmp_path)
    for number in (4, 10, 13):  # no HDF5, which holds the time of its making
        path, _, done = fuzz.make(number)
        first = path.read_bytes()
        assert fuzz.make(number)[2] == done and path.read_bytes() == first


def test_damaged_files_are_read_or_refused_in_one_line() -> None:
    """The short form; each file in a process of its own, which this one is too large to fork."""
    command = [sys.executable, "-m", "triggerforge.validation.fuzz_events"]
    command += ["--files", "85", "--seed", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "85 files, 0 neither read nor refused in one line"


def _raises(error: Exception) -> Callable[[], object]:
    def read() -> object:
        raise error

    return read


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "another error": (lambda bait: _raises(ValueError("x.h5"))(), "traceback"),
    "the bait": (lambda bait: bait.read_bytes(), "violation"),
    "a program": (lambda bait: os.system("true"), "violation"),
    "no name": (lambda bait: _raises(DataError("it cannot be read"))(), "violation"),
    "memory": (lambda bait: bytes(3 * 2**30), "memory"),
    "a crash": (lambda bait: os.abort(), "crash"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_reader_does_wrong_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzz = Fuzz(3, tmp_path)
    wrong, kind = WRONG[name]
    bait_file = tmp_path / "bait" / "bait.h5"
    monkeypatch.setattr(fuzz_events, "read_whole", lambda path, settings: wrong(bait_file))
    path, settings, _ = fuzz.make(0)
    with fuzz.watched() as bait:
        assert fuzz.outcome(path, settings, bait).kind == kind
