"""The fuzz of model files: it finds what it is for, and a short run of the command finds nothing."""

import ctypes
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest

from triggerforge.errors import ModelError
from triggerforge.validation import fuzz_models
from triggerforge.validation.model_mutations import SECRET, mutated


def _raises() -> str:
    raise ValueError("not one of ours")


def _refuses() -> str:
    raise ModelError("x.keras is damaged")


def _swallows() -> str:
    try:
        Path("/root/.profile").read_bytes()
    except BaseException:  # noqa: BLE001  as careless as a library may be
        return "a model"
    return ""


def _opens_in_c() -> str:
    """As HDF5 follows a link: no hook of Python sees it."""
    libc = ctypes.CDLL(None)
    os.close(libc.open(os.fsencode(Path.cwd().parent / "bait" / SECRET), os.O_RDONLY))
    return "a model"


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "traceback": (_raises, "traceback"),
    "crash": (lambda: ctypes.string_at(0).decode(), "crash"),
    "memory": (lambda: str(np.ones(2**29)), "memory"),
    "swallowed": (_swallows, "violation"),
    "link": (_opens_in_c, "violation"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_found_among_good_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, kind = BAD[name]
    (tmp_path / "bait").mkdir()
    (tmp_path / "bait" / SECRET).write_bytes(b"secret")
    (tmp_path / "open").mkdir()
    paths = [tmp_path / "open" / f"file_1_{number}.keras" for number in range(4)]
    for path in paths:
        path.write_bytes(b"whatever it is")
    tasks = dict(zip(paths, (lambda: "a model", task, _refuses, lambda: "a model"), strict=True))
    monkeypatch.setattr(fuzz_models, "read", lambda path, inspected: tasks[path]())
    outcomes = fuzz_models.Reader(tmp_path / "open", tmp_path / "bait").read(paths)
    assert [outcome.kind for outcome in outcomes] == ["read", kind, "refused", "read"]


def test_a_seed_gives_the_same_files_and_others_others(tmp_path: Path) -> None:
    (tmp_path / SECRET).write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", '{"class_name": "Model", "config": {"units": 3}}')
        with h5py.File(tmp_path / "w.h5", "w") as file:
            file["layers/a/vars/0"] = np.ones(3, np.float32)
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    content = (tmp_path / "m.keras").read_bytes()

    def made(seed: int) -> bytes:
        return mutated(content, ".keras", np.random.default_rng(seed), tmp_path)

    files = [made(seed) for seed in range(30)]
    # HDF5 notes the time of a change; what is changed is the same
    assert [configuration(each) for each in files] == [configuration(made(s)) for s in range(30)]
    assert len(set(files)) > 25 and content not in files
    assert len(set(map(configuration, files))) > 5


def configuration(content: bytes) -> bytes | None:
    """The configuration in the bytes of a .keras file; None where it cannot be read."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return archive.read("config.json")
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, NotImplementedError):
        return None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_short_run_of_the_command(tmp_path: Path) -> None:
    """Two files of every kind and network; the long run is in the notes of a release."""
    command = [sys.executable, "-m", "triggerforge.validation.fuzz_models", "--files", "20"]
    done = subprocess.run(
        [*command, "--seed", "3"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 files, seed 3: 0 findings" in done.stdout
