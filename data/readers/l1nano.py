"""Level-1 objects in NanoAOD or an ntuple: tree `Events`, branches L1EG_*, L1Mu_*, L1Jet_*, L1EtSum_*.

Objects of bunch crossing 0 where there is a branch `_bx`. MET is the sum of type 2 (kMissingEt of
DataFormats/L1Trigger/interface/EtSum.h in github.com/cms-sw/cmssw). No region map; labels come from
the configuration.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.l1.encode import check_objects, pad
from triggerforge.data.l1.layout import KINDS, Kind
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    missing,
    reading,
)
from triggerforge.data.readers.l1objects import EVENT_COLUMNS, Objects
from triggerforge.data.readers.trees import LAYOUT, Layout, counts_of, layout_of, pieces
from triggerforge.errors import DataError

MARK = "L1Jet_pt"
"""a branch that tells this tree from others"""
_TREE = "Events"
_COLLECTIONS = {"met": "L1EtSum", "eg": "L1EG", "mu": "L1Mu", "jet": "L1Jet"}
_MISSING_ET = 2


def _column(layout: Layout, name: str) -> str:
    """`name`, or as RNTuples and trees of records spell it (L1Jet.pt); raises DataError."""
    collection, _, short = name.partition("_")
    column = layout.find(short, collection)
    if column is None or column == short:
        raise missing(layout.path, "branch", name, frozenset(layout.leaves))
    return column


def _needed(kind: Kind) -> tuple[str, ...]:
    collection = _COLLECTIONS[kind.name]
    own = ("pt", "phi", "etSumType") if kind.name == "met" else ("pt", "eta", "phi")
    return tuple(f"{collection}_{name}" for name in own)


class L1NanoReader:
    """Reads one file; see the module's docstring for its layout."""

    format = "l1nano"
    aliases: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()
    labelled = False
    event_columns = EVENT_COLUMNS
    particle_columns: frozenset[str] = frozenset()

    def __init__(self, layout: Layout) -> None:
        self.path, self.entries, self._layout = layout.path, layout.entries, layout
        crossing = [f"{c}_bx" for c in _COLLECTIONS.values() if layout.find("bx", c)]
        needed = [*crossing, *(name for kind in KINDS for name in _needed(kind))]
        self._columns = {name: _column(layout, name) for name in needed}

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        self._layout.check_size(self._columns.values(), size)
        objects = Objects(self.path)
        yield from objects.close(self._chunks(request, size, objects))

    def _chunks(self, request: Request, size: int, objects: Objects) -> Iterator[Chunk]:
        first = 0
        with reading(self.path, LAYOUT):
            for read in pieces(self._layout, self._columns.values(), size):
                piece = {name: read[column] for name, column in self._columns.items()}
                groups = [self._group(kind, piece, first) for kind in KINDS]
                physical = np.concatenate([group for group, _ in groups], axis=1)
                unsorted = np.logical_or.reduce([wrong for _, wrong in groups])
                yield objects.chunk(first, physical, request, unsorted=int(unsorted.sum()))
                first += len(physical)

    def _group(
        self, kind: Kind, piece: Mapping[str, Any], first: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(n, slots, 3) of one kind, and (n,) whether the file's objects did not fall in pT."""
        collection = _COLLECTIONS[kind.name]
        if f"{collection}_bx" in piece:
            kept = piece[f"{collection}_bx"] == 0
        else:
            kept = ak.ones_like(piece[f"{collection}_pt"], dtype=np.bool_)
        if kind.name == "met":
            kept = kept & (piece["L1EtSum_etSumType"] == _MISSING_ET)
        pt, phi = (piece[f"{collection}_{name}"][kept] for name in ("pt", "phi"))
        eta = ak.zeros_like(pt) if kind.name == "met" else piece[f"{collection}_eta"][kept]
        counts = counts_of(pt)
        if kind.name == "met" and (counts != 1).any():
            at = int((counts != 1).argmax())
            raise DataError(
                f"{self.path}: event {first + at} has {counts[at]} sums of type {_MISSING_ET} "
                "(missing ET) in crossing 0; one is due"
            )
        return self._padded(kind, first, counts, [pt, eta, phi])

    def _padded(
        self, kind: Kind, first: int, counts: NDArray[np.int64], columns: list[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        flat = [ak.to_numpy(ak.flatten(column)).astype(np.float64) for column in columns]
        objects = np.stack(flat, axis=1)
        event = np.repeat(np.arange(len(counts)), counts)
        where = f"{_COLLECTIONS[kind.name]} in event"
        check_objects(objects, str(self.path), lambda i: f"{where} {first + event[i]}")
        rises = (np.diff(objects[:, 0]) > 0) & (np.diff(event) == 0)
        wrong = np.zeros(len(counts), np.bool_)
        wrong[event[1:][rises]] = True
        return pad(event, objects, kind.slots, len(counts)), wrong


@READERS.register("l1nano")
def open_l1nano(path: Path, config: DataConfig) -> Reader:
    """A reader of Level-1 objects in NanoAOD; `mapping.tree` names another tree than Events."""
    return L1NanoReader(layout_of(path, config.mapping.tree or _TREE))
