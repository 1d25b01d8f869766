"""A task in a process of its own with limits of memory and CPU, and what became of it.

The process is a fork: libraries that the caller has imported cost nothing again, and a task finds
nothing of the one before it. Whoever calls this has one thread, or threads that a fork may lose.
"""

import faulthandler
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from triggerforge.errors import TriggerForgeError
from triggerforge.validation.guard import Guard, Violation

Kind = Literal["read", "refused", "traceback", "lines", "memory", "time", "crash", "violation"]
GOOD: tuple[Kind, ...] = ("read", "refused")
"""The outcomes that a hostile file may have."""
_MESSAGE = 4000


@dataclass(frozen=True)
class Limits:
    """What a task may use."""

    memory: int = 2 * 2**30
    """bytes of address space beyond what the process has at its start"""
    seconds: int = 60
    """of CPU time"""
    wall: int = 300
    """seconds by the clock: a task that sleeps ends too"""


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    read: it gave a text; refused: a TriggerForgeError of one line; lines: one of several lines;
    traceback: any other exception; memory: MemoryError, also where an error hides it; time: more CPU
    or wall time than allowed; crash: ended by a signal; violation: it did what `Guard` forbids.
    """

    kind: Kind
    text: str

    @property
    def good(self) -> bool:
        """Whether a hostile file may end so."""
        return self.kind in GOOD


def limited(task: Callable[[], str], folder: Path, limits: Limits = Limits()) -> Outcome:
    """Runs `task` in a fork that may open files in `folder` alone; never raises for what it does."""
    receiving, sending = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():  # Python >= 3.12 warns of threads, which the child never joins
        warnings.simplefilter("ignore", DeprecationWarning)
        # and JAX of its own, where it is loaded: such a task does not compute with it
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        child = os.fork()
    if child == 0:
        os.close(receiving)
        _in_child(task, folder, limits, sending)
    os.close(sending)
    try:
        return _outcome(child, receiving, limits)
    finally:
        os.close(receiving)


def _in_child(task: Callable[[], str], folder: Path, limits: Limits, sending: int) -> None:
    """Runs the task, sends its outcome and ends the process, whatever happens."""
    try:
        _restrict(limits)
        guard = Guard(folder)
        guard.arm()
        outcome = watched(task, _free_memory)
        if guard.seen:  # also where a library swallowed it
            outcome = Outcome("violation", guard.seen)
        os.write(sending, json.dumps([outcome.kind, outcome.text[:_MESSAGE]]).encode())
    finally:
        os._exit(0)


def _restrict(limits: Limits) -> None:
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    sys.dont_write_bytecode = True
    faulthandler.disable()  # the outcome names the signal
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, limits.seconds)
    _lower(resource.RLIMIT_AS, _address_space() + limits.memory)


def _lower(name: int, limit: int) -> None:
    resource.setrlimit(name, (limit, resource.getrlimit(name)[1]))


def _free_memory() -> None:
    """Takes the limit off: the outcome is told even if the task still holds all that it may."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def watched(task: Callable[[], str], on_error: Callable[[], None] = lambda: None) -> Outcome:
    """What became of `task`, which is run here and now; `on_error` goes before an error is put in words."""
    try:
        return Outcome("read", task())
    except Violation as violation:
        return Outcome("violation", str(violation))
    except BaseException as error:  # noqa: BLE001  what a task raises is the result
        on_error()
        if any(isinstance(e, MemoryError) for e in _causes(error)):
            return Outcome("memory", _shown(error))
        if not isinstance(error, TriggerForgeError):
            return Outcome("traceback", _shown(error))
        return Outcome("lines" if "\n" in str(error) else "refused", str(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-_MESSAGE:]


def _outcome(child: int, receiving: int, limits: Limits) -> Outcome:
    until = time.monotonic() + limits.wall
    message = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([receiving], [], [], left)[0]:
            piece = os.read(receiving, 1 << 16)
            message += piece
            if not piece:
                break
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Outcome("time", f"no end after {limits.wall} s")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if message:
        kind, text = json.loads(message)
        return Outcome(kind, text)
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return Outcome("time", f"more than {limits.seconds} s of CPU")
    return Outcome("crash", signal.strsignal(-status) or "" if status < 0 else f"status {status}")
