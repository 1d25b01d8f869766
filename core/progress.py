"""What is said to a person: on a terminal or in a batch log, always on standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from triggerforge.border import printable

_LOG_EVERY_S = 20.0


class Meter(Protocol):
    """Takes note of work done."""

    def __call__(self, done: float, note: str = "") -> None:
        """`done` is the total so far; `note` stands behind it (loss, metric)."""


def say(text: str, label: str = "", style: str = "bold") -> None:
    """One line to the person at the terminal, or to the log (standard error).

    `text` is shown letter by letter: brackets in a path or a unit are no markup. A `label` stands
    before it, in a `style` of rich ("bold", "red").
    """
    parts = [(label, style), " ", printable(text)] if label else [printable(text)]
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble(*parts))


@contextmanager
def progress(what: str, total: float) -> Iterator[Meter]:
    """A bar on a terminal; elsewhere a plain line every 20 s, and one at the end."""
    what = printable(what)
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(what, total=total, note="")

            def update(done: float, note: str = "") -> None:
                bars.update(task, completed=done, note=printable(note))

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
