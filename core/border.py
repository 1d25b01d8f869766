"""Where a command meets the world: streams, signals, and one line and a status for every error.

Every command goes through `answer`: the command line and each `python -m triggerforge.…`.
"""

import argparse
import errno
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from triggerforge.errors import BudgetError, ParityError, TriggerForgeError

GATE_MISSED = 3
_GOES_ON = "run the same command again to go on"
_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""what a batch system, or a lost terminal, ends a process with"""


class Ended(BaseException):
    """The process was told to end by a signal; what it had begun is closed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def answer(call: Callable[[], int | None], program: str = "triggerforge") -> int:
    """Runs a command; gives back its exit status, after one line for whatever ended it.

    0, or what `call` gives, when it went well; 1 for an error; 3 where parity failed or a budget was
    missed; 128 + the number of the signal that ended it (130: SIGINT, 141: nobody reads the output).
    """
    with _open_streams() as errors, _told_to_end():
        try:
            status = call() or 0
            sys.stdout.flush()  # a full disk or a closed pipe is found here, not at the exit
            return status
        except BrokenPipeError:
            _forget_output()
            return 128 + signal.SIGPIPE
        except KeyboardInterrupt:
            return _fail(errors, program, f"interrupted; {_GOES_ON}", 128 + signal.SIGINT)
        except Ended as error:
            return _fail(errors, program, f"ended by {error}; {_GOES_ON}", 128 + error.number)
        except (ParityError, BudgetError) as error:
            return _fail(errors, program, error, GATE_MISSED)
        except (TriggerForgeError, OSError, MemoryError, UnicodeEncodeError) as error:
            return _fail(errors, program, explained(error), 1)


def by_words(
    function: Callable[..., int | None], purpose: str | None, module: str
) -> Callable[[], int | None]:
    """A command whose words are the arguments of `function`, all of which have a default.

    `-h` shows `purpose` and the words.
    """

    def call() -> int | None:
        parser = argparse.ArgumentParser(
            prog=f"python -m {module}",
            description=purpose,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for word in inspect.signature(function).parameters.values():
            parser.add_argument(
                word.name,
                nargs="?",
                default=word.default,
                type=word.annotation,
                help="(%(default)s)",
            )
        return function(**vars(parser.parse_args()))

    return call


def explained(error: BaseException) -> str:
    """The sentence for an error: what is wrong and what to do."""
    if isinstance(error, MemoryError):
        return f"out of memory ({error}); use fewer events at a time, or a machine with more"
    if isinstance(error, UnicodeEncodeError):
        letters = error.object[error.start : error.end]
        return f"this locale ({error.encoding}) has no {letters!r}; set PYTHONUTF8=1, or LC_ALL=C.UTF-8"
    if not isinstance(error, OSError):
        return str(error)
    if is_full(error):
        return f"the disk is full: {error}; make room, then {_GOES_ON}"
    if error.filename is None:
        return f"{error}; the operating system refuses what the command needs"
    if isinstance(error, FileNotFoundError):
        return f"{error}; give the path of something that is there"
    return f"{error}; give a folder that can be written (--runs, -o)"


def is_full(error: BaseException) -> bool:
    """Whether a disk, a quota or a limit of the size of a file ended it."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def printable(text: str) -> str:
    """`text` with what steers a terminal, or is no character, spelled out: `\\x1b`, `\\udc80`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _spelled(c) for c in text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def tell(text: str) -> None:
    """The answer of a command, to standard output. Raises TriggerForgeError where that is closed."""
    if _State.no_output:
        raise TriggerForgeError("standard output is closed, and the answer goes there; open it")
    sys.stdout.write(text)


class _State:
    """Of this process."""

    no_output = False
    """whether it was started without standard output"""


def _fail(errors: TextIO, program: str, error: object, status: int) -> int:
    try:
        sys.stdout.flush()
    except OSError:
        _forget_output()
    with suppress(OSError):  # nobody can be told where this fails too
        errors.write(f"{program}: error: {printable(str(error))}\n")
        errors.flush()
    return status


@contextmanager
def _open_streams() -> Iterator[TextIO]:
    """Standard streams that can be written to in every locale; yields the one for errors.

    A stream that was closed (`2>&-`) becomes the null device: otherwise the next file that is opened
    takes its number, and what libraries print goes into it. The last word then goes to standard output.
    """
    closed = {n for n, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)) if stream is None}
    if closed:
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    _State.no_output = _State.no_output or 1 in closed
    if 1 in closed:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if 2 in closed:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a test or a notebook has its own
            stream.reconfigure(errors="backslashreplace")
    yield sys.stdout if 2 in closed and 1 not in closed else sys.stderr


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack as SIGINT does: tools are stopped, files are closed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Ended(number)

    try:
        before = {
            number: signal.signal(number, end)
            for number in _ENDING
            if signal.getsignal(number) is signal.SIG_DFL  # nohup ignores SIGHUP
        }
    except ValueError:  # only the main thread may; the process is somebody else's
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C and the signals that end a process wait until the block is over: nothing is half begun."""
    waiting: list[int] = []
    before = {}
    for number in (signal.SIGINT, *_ENDING):
        with suppress(ValueError):  # another thread than the main one is not disturbed anyway
            before[number] = signal.signal(number, lambda told, frame: waiting.append(told))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for came in waiting:
            signal.raise_signal(came)


def _forget_output() -> None:
    """What standard output still holds goes nowhere, or Python complains of it at the exit."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
