"""What a process that reads a hostile file must not do: watched by Python's audit hooks and by inotify.

Audit hooks see what Python does (open, exec, socket, pickles that ask for a class), not what a C
library does by itself. For those there is bait: a folder that only a hostile file names, in which
the kernel reports every open.
"""

import ctypes
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import triggerforge

_EXECUTES = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"),
    *("subprocess.Popen", "pickle.find_class", "webbrowser.open"),
)
_CONNECTS = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.getaddrinfo",
    "urllib.Request",
)
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink")
_SYSTEM = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/mounts",
    "/sys",
    "/dev/null",
    "/dev/urandom",
    "/etc",
    "/usr",
    "/lib",
)
"""where libraries look by themselves (number of CPUs, time zone, shared objects)"""


class Violation(BaseException):
    """The watched code did what it must not; no `except Exception` may catch this."""


class Guard:
    """An audit hook that lets files be opened in `folder`, and read where Python itself lives.

    `arm` cannot be undone: call it in a process that ends with what is watched.
    """

    def __init__(self, folder: Path) -> None:
        self._own = os.path.realpath(folder)
        python = {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *sys.path}
        rooms = str(Path(str(triggerforge.__file__)).parents[1])
        self._readable = tuple(os.path.realpath(p) for p in (*python, rooms, *_SYSTEM) if p)
        self.seen = ""
        """the first thing that was not allowed; stays when the code swallows the exception"""

    def arm(self) -> None:
        """Watches this process from here on."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._opened(*arguments[:3])
        elif event in _EXECUTES or event in _CONNECTS:
            self._stop(f"{event} {arguments!r}"[:300])
        elif event in _CHANGES:
            for path in arguments[:2]:
                if isinstance(path, str | bytes) and not self._is_own(path):
                    self._stop(f"{event} {path!r}"[:300])

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, str | bytes):
            return
        writes = bool(int(flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if self._is_own(path) or (not writes and _inside(path, self._readable)):
            return
        if writes and os.fsdecode(path) == os.devnull:
            return
        self._stop(f"open {path!r} {'to write' if writes else 'to read'}")

    def _is_own(self, path: str | bytes) -> bool:
        return _inside(path, (self._own,))

    def _stop(self, what: str) -> None:
        self.seen = self.seen or what
        raise Violation(what)


def _inside(path: str | bytes, folders: Iterable[str]) -> bool:
    real = os.path.realpath(os.fsdecode(path))
    return any(real == folder or real.startswith(folder + os.sep) for folder in folders)


class Bait:
    """Watches `folder`: whoever opens a file in it, C library or not, is seen. Linux only."""

    _OPENED = 0x20  # IN_OPEN of <sys/inotify.h>

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        watch = libc.inotify_add_watch(self._handle, os.fsencode(folder), self._OPENED)
        if self._handle < 0 or watch < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot watch", str(folder))

    def taken(self) -> bool:
        """Whether a file in the folder was opened since this was asked last."""
        try:
            return bool(os.read(self._handle, 1 << 16))
        except BlockingIOError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
