"""One process at a time, on every file system."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path

from triggerforge.errors import TriggerForgeError
from triggerforge.progress import say

_NO_LOCKS = {ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL}


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Holds the lock file `path`; raises TriggerForgeError with the words `busy` if another does.

    Where the file system has no locks (some network and cluster disks), a file beside it names the
    process that works; one that a dead process of this machine left is taken over.
    """
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TriggerForgeError(busy) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            say(f"{path.parent} is on a file system without locks; a file takes their place")
            with _held(path.with_name(f"{path.name}.held"), busy):
                yield
            return
        yield


@contextmanager
def _held(path: Path, busy: str) -> Iterator[None]:
    me = f"{socket.gethostname()} {os.getpid()}"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        _take_over(path, busy)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(me)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take_over(path: Path, busy: str) -> None:
    """Removes what a dead process left; raises TriggerForgeError where it may be alive."""
    holder = ""
    with suppress(OSError):
        holder = path.read_text(encoding="utf-8")
    host, _, number = holder.partition(" ")
    if host != socket.gethostname() or not number.isdigit() or _is_alive(int(number)):
        raise TriggerForgeError(f"{busy} ({holder}); if it is gone, remove {path}")
    path.unlink(missing_ok=True)


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
