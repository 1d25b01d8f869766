"""What every reader gives: chunks of events with flat columns, and their bounds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.errors import DataError, TriggerForgeError, did_you_mean
from triggerforge.registry import Registry

MAX_CHUNK_BYTES = 2**29
"""A chunk that would take more memory than this is refused before it is read: what is made of it takes
three times that."""


@dataclass(frozen=True)
class Chunk:
    """Events of a piece of a file: n events, m constituents in all of them together.

    An event is what the network classifies; an entry is a row of the file. They differ where a tree
    holds a list of jets for each entry.
    """

    first: int
    """number of the first entry in the file"""
    events: dict[str, NDArray[Any]]
    """name -> (n,)"""
    particles: dict[str, NDArray[Any]] = field(default_factory=dict)
    """name -> (m,): the constituents of event 0, then those of event 1, …"""
    counts: NDArray[np.int64] | None = None
    """(n,): constituents of each event; None for files without constituents"""
    label: NDArray[np.int64] | None = None
    """(n,): index into the reader's classes, -1 for none of them; None if the file has no label"""
    per_entry: NDArray[np.int64] | None = None
    """(entries,): events of each entry; None where it is one"""
    size: int = 0
    """events (n)"""


@dataclass(frozen=True)
class Request:
    """The columns of a file that somebody needs."""

    events: frozenset[str] = frozenset()
    particles: frozenset[str] = frozenset()
    label: bool = True
    """whether the events' classes are needed; a tree of real data has none"""


class Reader(Protocol):
    """A file of events, open for reading."""

    path: Path
    format: str
    classes: tuple[str, ...]
    """names of the file's labels; empty where the configuration has to say"""
    entries: int
    labelled: bool
    """whether the file says what its events are; `chunks` refuses to give labels where it does not"""
    event_columns: frozenset[str]
    """names that `chunks` can give for each event"""
    particle_columns: frozenset[str]
    """names that `chunks` can give for each constituent"""
    aliases: frozenset[str]
    """those of either that repeat another column under a second name"""

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """The file in order, at most `size` entries at a time, with the requested columns."""
        ...


ReaderFactory = Callable[[Path, DataConfig], Reader]
READERS: Registry[ReaderFactory] = Registry("format")


@contextmanager
def reading(path: Path, layout: str) -> Iterator[None]:
    """Turns whatever a file library raises on a damaged file into one DataError that names it."""
    try:
        yield
    except TriggerForgeError:
        raise
    except Exception as error:  # file libraries raise almost any type on damaged input
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise DataError(
            f"{path} cannot be read as {layout}: {reason}; the file may be truncated or of another "
            "format (set data.format)"
        ) from error


def check_file(path: Path) -> None:
    """Raises DataError if `path` is not there, is no file, or is empty."""
    if not path.exists():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*")][:1000])
        raise DataError(f"no file {path}; in that folder: {near}")
    if not path.is_file():
        raise DataError(f"{path} is not a file; name files or a pattern, such as {path}/*.root")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); make or fetch it again")


def check_chunk(path: Path, bytes_per_entry: float, entries: int) -> None:
    """Raises DataError if `entries` of that many bytes are more than MAX_CHUNK_BYTES."""
    if bytes_per_entry * entries > MAX_CHUNK_BYTES:
        fits = max(int(MAX_CHUNK_BYTES // bytes_per_entry), 0)
        raise DataError(
            f"{path}: {entries} entries of {bytes_per_entry:.3g} bytes are more than the "
            f"{MAX_CHUNK_BYTES / 2**20:g} MiB allowed for a chunk; "
            + (f"set data.chunk to at most {fits}" if fits else "the file is damaged")
        )


def missing(path: Path, what: str, name: str, known: frozenset[str]) -> DataError:
    """The error for a column that `path` does not hold; the nearest name stands first."""
    return DataError(f"{path} has no {what} {name!r}; {did_you_mean(name, known)}")


def from_one_hot(path: Path, table: NDArray[Any], first: int) -> NDArray[np.int64]:
    """(n, classes) of flags to (n,) labels; -1 where no flag is set.

    Raises DataError if a flag is neither 0 nor 1, or if an event has several, with the count and the
    first one.
    """
    flags = np.asarray(table)
    bad = ((flags != 0) & (flags != 1)).any(axis=1) | ((flags == 1).sum(axis=1) > 1)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{path}: the class flags of {int(bad.sum())} events are not 0 and a single 1, the first are "
            f"{np.asarray(flags[at], np.float64).tolist()} of event {first + at}; mend the file"
        )
    label: NDArray[np.int64] = flags.argmax(axis=1).astype(np.int64)
    label[(flags != 1).all(axis=1)] = -1
    return label


def from_numbers(path: Path, numbers: NDArray[Any], classes: int, first: int) -> NDArray[np.int64]:
    """(n,) labels as a file holds them, checked.

    Raises DataError if one is not an integer in 0..classes-1, with the count and the first one.
    """
    values = np.asarray(numbers, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~((values >= 0) & (values < classes) & (values == np.floor(values)))
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{path}: {int(bad.sum())} labels are not integers in 0..{classes - 1}, the first is "
            f"{values[at]:g} in event {first + at}; name all classes in data.classes or mend the file"
        )
    return np.asarray(values, np.int64)
