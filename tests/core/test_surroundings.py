"""Accounts and disks as clusters and containers have them: no locks, no home, no name."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from triggerforge import locks
from triggerforge.errors import TriggerForgeError
from triggerforge.locks import locked

NO_LOCKS = """
#include <errno.h>
#include <stdarg.h>
#include <fcntl.h>
int flock(int file, int operation) { errno = ENOLCK; return -1; }
"""
NOBODY = 54321
"""a user without an entry in the password file"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library under which no file can be locked, as on such a file system (HDF5 and Python use flock)."""
    folder = tmp_path_factory.mktemp("shim")
    (folder / "nolocks.c").write_text(NO_LOCKS)
    library = folder / "nolocks.so"
    command = ["g++", "-x", "c", "-shared", "-fPIC", "-o", str(library), str(folder / "nolocks.c")]
    subprocess.run(command, check=True, capture_output=True)
    return library


def python(
    code: str, *words: str, before: Sequence[str] = (), env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


HDF5_AND_STAGE = """
import sys
from pathlib import Path
import triggerforge
import h5py
from triggerforge.data.storage import Hdf5Output
from triggerforge.errors import TriggerForgeError
from triggerforge.runfolder import RunFolder

runs = Path(sys.argv[1])

def work(folder):
    output = Hdf5Output(folder / "a.h5")
    output.file["x"] = [1, 2]
    output.close()
    with h5py.File(folder / "b.h5", "w") as file:
        file["x"] = [3]
    try:
        RunFolder(runs, "r").run("data", "key", work)
    except TriggerForgeError as error:
        print(error)

folder = RunFolder(runs, "r").run("data", "key", work)
with h5py.File(folder / "a.h5") as a, h5py.File(folder / "b.h5") as b:
    print(a["x"][:].tolist(), b["x"][:].tolist())
"""


def test_a_file_system_without_locks_is_said_and_gone_round(tmp_path: Path, shim: Path) -> None:
    done = python(HDF5_AND_STAGE, str(tmp_path), env=os.environ | {"LD_PRELOAD": str(shim)})
    assert done.returncode == 0, done.stderr
    assert "on a file system without locks" in done.stderr
    refused, read = done.stdout.splitlines()
    # the file in the place of the lock does what the lock does
    assert refused.startswith("another process is running stage 'data'") and "remove" in refused
    assert read == "[1, 2] [3]"
    assert not list(tmp_path.rglob("*.held"))


def test_what_a_dead_process_held_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    child = subprocess.Popen(["true"])
    child.wait()
    held = tmp_path / ".lock.held"
    held.write_text(f"{os.uname().nodename} {child.pid}")
    with locked(tmp_path / ".lock", "busy"):
        assert held.read_text() == f"{os.uname().nodename} {os.getpid()}"
    assert not held.exists()
    for holder in (f"elsewhere {child.pid}", f"{os.uname().nodename} {os.getpid()}", "", "x y z"):
        held.write_text(holder)
        expected = pytest.raises(TriggerForgeError, match="busy .*; if it is gone, remove")
        with expected, locked(tmp_path / ".lock", "busy"):
            pass
        assert held.read_text() == holder


ACCOUNT = """
import getpass, os
from pathlib import Path
import triggerforge
from triggerforge.runfolder import cache_folder
folder = cache_folder("native")
folder.mkdir(parents=True)
print(getpass.getuser(), Path.home().stat().st_uid, oct(Path.home().stat().st_mode & 0o777), folder)
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root")
@pytest.mark.parametrize("home", [None, "/", "/nonexistent"])
def test_a_user_without_entry_and_home_has_both(tmp_path: Path, home: str | None) -> None:
    places = {"TMPDIR": str(tmp_path)} | ({} if home is None else {"HOME": home})
    tmp_path.chmod(0o777)
    kept = {
        n: v
        for n, v in os.environ.items()
        if n not in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME")
    }
    # it may read what only root may, for this Python can lie in root's home
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reads]
    done = python(ACCOUNT, before=become, env=kept | places)
    if done.returncode == 127:  # setpriv's own
        pytest.skip(f"nobody can become another user here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    name, owner, mode, folder = done.stdout.split()
    assert (name, int(owner), mode) == (f"uid{NOBODY}", NOBODY, "0o700")
    assert Path(folder).is_relative_to(tmp_path)


def test_a_home_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from triggerforge.surroundings import settle

    monkeypatch.setenv("HOME", str(tmp_path))
    settle()
    assert os.environ["HOME"] == str(tmp_path)


@pytest.mark.parametrize("trap", ["link", "open"])
def test_a_home_that_another_could_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    from triggerforge import surroundings

    monkeypatch.setattr(surroundings.tempfile, "tempdir", str(tmp_path))
    home = tmp_path / f"triggerforge-home-{os.getuid()}"
    if trap == "link":
        (tmp_path / "theirs").mkdir()
        home.symlink_to(tmp_path / "theirs")
    else:
        home.mkdir()
        home.chmod(0o777)
    found = surroundings.private_home()
    assert found != home and found.stat().st_mode & 0o077 == 0


def test_the_cache_of_a_read_only_home_lies_elsewhere(
    tmpfs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from triggerforge.runfolder import cache_folder

    home = tmpfs("64k")
    subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    folder = cache_folder("native")
    assert not folder.is_relative_to(home)
