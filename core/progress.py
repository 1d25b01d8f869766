"""Progress that a person can watch on a terminal and read in a batch log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LOG_EVERY_S = 20.0


class Meter(Protocol):
    """Takes note of work done."""

    def __call__(self, done: float, note: str = "") -> None:
        """`done` is the total so far; `note` stands behind it (loss, metric)."""


def say(text: str) -> None:
    """One line to the person at the terminal, or to the log (standard error)."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text)


@contextmanager
def progress(what: str, total: float) -> Iterator[Meter]:
    """A bar on a terminal; elsewhere a plain line every 20 s, and one at the end."""
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(what, total=total, note="")

            def update(done: float, note: str = "") -> None:
                bars.update(task, completed=done, note=note)

            yield update
        return
    start = last = time.monotonic()
    state = (0.0, "")

    def log(done: float, note: str = "") -> None:
        nonlocal last, state
        state = (done, note)
        if time.monotonic() - last >= _LOG_EVERY_S:
            last = time.monotonic()
            say(f"{what}: {done:g}/{total:g} {note}".rstrip())

    yield log
    done, note = state
    say(f"{what}: {done:g}/{total:g} in {time.monotonic() - start:.1f} s {note}".rstrip())
