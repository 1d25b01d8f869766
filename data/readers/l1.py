"""The tree `crossings` of the recipe l1: hardware integers, region maps, weights."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uproot
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.generator.l1.schema import ABOUT, BRANCHES, TREE
from triggerforge.data.l1.layout import INPUTS, REGIONS
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    check_chunk,
    from_numbers,
    missing,
    reading,
)
from triggerforge.data.readers.trees import LAYOUT, find_tree
from triggerforge.errors import DataError

MARKS = frozenset({"objects", "regions", "weight"})
"""branches that tell this tree from others"""
_FLAT = frozenset(BRANCHES) - {"label", "objects", "regions"}
_TABLES = {"objects": INPUTS, "regions": REGIONS}


class CrossingReader:
    """Reads one file of generated crossings.

    Raises DataError if it lacks a branch or its description.
    """

    format = "l1"
    aliases: frozenset[str] = frozenset()
    event_columns = frozenset({*INPUTS, *REGIONS}) | _FLAT
    particle_columns: frozenset[str] = frozenset()

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, LAYOUT), uproot.open(path) as file:
            tree = find_tree(file, path, TREE)
            self.entries = int(tree.num_entries)
            branches = {str(b.name): float(b.uncompressed_bytes) for b in tree.branches}
            for name in BRANCHES:
                if name not in branches:
                    raise missing(path, "branch", name, frozenset(branches))
            if ABOUT not in file:
                raise DataError(
                    f"{path} holds no {ABOUT!r} with the names of the classes; it was not written "
                    "by `triggerforge generate`"
                )
            about = json.loads(str(file[ABOUT]))
            self.classes: tuple[str, ...] = tuple(about["classes"])
            self.labelled = True
            self._bytes = sum(branches.values()) / max(self.entries, 1)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        check_chunk(self.path, max(self._bytes, 1.0), min(size, self.entries))
        wanted = {name for name in _FLAT if name in request.events}
        wanted |= {n for n, names in _TABLES.items() if not request.events.isdisjoint(names)}
        wanted |= {"label"} if request.label or not wanted else set()
        with reading(self.path, LAYOUT), uproot.open(self.path) as file:
            tree = find_tree(file, self.path, TREE)
            for first in range(0, self.entries, size):
                piece = tree.arrays(
                    list(wanted), entry_start=first, entry_stop=first + size, library="np"
                )
                yield self._chunk(first, piece, request)

    def _chunk(self, first: int, piece: dict[str, NDArray[Any]], request: Request) -> Chunk:
        size = len(next(iter(piece.values())))
        events: dict[str, NDArray[Any]] = {n: piece[n] for n in _FLAT & request.events}
        for branch, names in _TABLES.items():
            if branch in piece:
                flat = piece[branch].reshape(size, len(names))
                events |= {n: flat[:, i] for i, n in enumerate(names) if n in request.events}
        label = None
        if request.label:
            label = from_numbers(self.path, piece["label"], len(self.classes), first)
        return Chunk(first=first, events=events, label=label, size=size)


@READERS.register("l1")
def open_l1(path: Path, config: DataConfig) -> Reader:
    """A reader of generated crossings."""
    return CrossingReader(path)
