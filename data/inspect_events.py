"""What an event file holds and a `data:` section that reads it, in seconds, before anything is made."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig, Format, MappingConfig
from triggerforge.data.labels import LabelCandidate
from triggerforge.data.readers.base import Reader, Request, check_file, reading
from triggerforge.data.readers.opening import is_root, open_reader
from triggerforge.data.readers.root import RootReader
from triggerforge.data.readers.trees import (
    LAYOUT,
    USUAL,
    Layout,
    entries_of,
    find_tree,
    read_leaf,
    table_kinds,
)
from triggerforge.data.suggestion import LOOK, suggested
from triggerforge.errors import DataError

_MOST_READ = 400
"""columns of which examples are read"""
_KINDS = ("flat", "jagged", "nested")
"""by the depth of the lists"""
_Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class ColumnDescription:
    """A column of a file."""

    name: str
    """as an expression spells it"""
    type: str
    """of a number: float32, int64, …; or what it holds that is no number"""
    kind: str
    """flat: a number an event or entry; jagged: a list; nested: lists in a list; other: no numbers"""
    collection: str | None = None
    """the collection that it belongs to"""
    low: float | None = None
    """least finite value in the first entries; None where it was not read"""
    high: float | None = None
    """greatest one"""


@dataclass(frozen=True)
class EventsDescription:
    """What a file of events holds."""

    path: Path
    format: str
    trees: dict[str, int]
    """tree -> entries (ROOT), -1 where it cannot be read; empty for other files"""
    tree: str | None
    """the one that is described"""
    entries: int
    """rows of the file; -1 where only reading all of it would tell (ARFF)"""
    columns: tuple[ColumnDescription, ...]
    collections: dict[str, tuple[str, ...]]
    """objects of which an entry holds any number -> their attributes: Jet -> pt, eta, …"""
    classes: tuple[str, ...]
    """names of the labels that the format has; empty where the configuration has to say"""
    labels: tuple[LabelCandidate, ...]
    """columns that look like labels, the likeliest first"""
    suggestion: dict[str, Any]
    """a section `data` that reads the file"""
    notes: tuple[str, ...]
    """what the suggestion had to assume"""


def inspect_events(
    path: Path, format: Format = "auto", tree: str | None = None, objects: str | None = None
) -> EventsDescription:
    """Looks into a file of any registered format; reads its structure and its first entries.

    `format`, `tree` and `objects` are those of a section `data` and its mapping. Of a ROOT file with
    several trees and no usual name, the longest is described.

    Raises DataError if the file cannot be used at all.

    Example:
        >>> inspect_events(Path("jets.root")).suggestion["label"]
        {'background': 'is_top == 0', 'signal': 'is_top == 1'}
    """
    check_file(path)
    trees = _trees(path)
    mapping = MappingConfig(tree=tree, objects=objects)
    config = DataConfig.model_validate(
        {"source": [str(path)], "format": format, "mapping": mapping}
    )
    notes: list[str] = []
    if tree is None and len(trees) > 1 and not any(name in USUAL for name in trees):
        # not one of POOL's own tables
        longest = max(trees, key=lambda name: (not name.startswith("#"), trees[name]))
        mapping = MappingConfig(tree=longest, objects=objects)
        config = config.model_copy(update={"mapping": mapping})
        notes.append(f"of {len(trees)} trees this is the longest")
    reader = open_reader(path, config)
    guess = suggested(reader, config)
    root = isinstance(reader, RootReader)
    return EventsDescription(
        path=path,
        format=reader.format,
        trees=trees or ({reader.tree: reader.entries} if isinstance(reader, RootReader) else {}),
        tree=reader.tree if isinstance(reader, RootReader) else None,
        entries=reader.entries,
        columns=tuple(_of_tree(reader.layout) if isinstance(reader, RootReader) else _of(reader)),
        collections=_collections(reader) if root else {},
        classes=reader.classes,
        labels=guess.labels,
        suggestion=guess.section,
        notes=(*notes, *guess.notes),
    )


def _trees(path: Path) -> dict[str, int]:
    """The trees of a ROOT file that has several, with their entries."""
    if not is_root(path):
        return {}
    with reading(path, LAYOUT), uproot.open(path) as file:
        names = list(table_kinds(file))
        return {name: entries_of(file, name) for name in names} if len(names) > 1 else {}


def _of_tree(layout: Layout) -> Iterator[ColumnDescription]:
    collections = {c: name for name, cs in layout.collections().items() for c in cs}
    names = list(layout.leaves)[:_MOST_READ]
    ranges = dict(_ranges(layout, names))
    for name, leaf in layout.leaves.items():
        low, high = ranges.get(name, (None, None))
        yield ColumnDescription(
            name, leaf.type, _KINDS[leaf.depth], collections.get(name), low, high
        )
    for name, kind in layout.others.items():
        yield ColumnDescription(name, kind, "other")


def _ranges(layout: Layout, names: list[str]) -> Iterator[tuple[str, _Range]]:
    """Of the columns that can be read; one that cannot has none."""
    with reading(layout.path, LAYOUT), uproot.open(layout.path) as file:
        tree = find_tree(file, layout.path, layout.tree)
        last = min(LOOK, layout.entries)
        for name in names:
            with suppress(DataError):
                values = read_leaf(layout, tree, layout.leaves[name], 0, last)
                yield name, _range(ak.to_numpy(ak.flatten(values, axis=None)))


def _range(values: NDArray[Any]) -> _Range:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if len(finite) else (None, None)


def _of(reader: Reader) -> Iterator[ColumnDescription]:
    """Columns of other formats, as their readers give them."""
    request = Request(
        reader.event_columns - reader.aliases, reader.particle_columns - reader.aliases, label=False
    )
    chunk = next(iter(reader.chunks(request, LOOK)))
    for kind, columns in (("flat", chunk.events), ("jagged", chunk.particles)):
        for name, values in sorted(columns.items()):
            values = np.asarray(values)
            yield ColumnDescription(name, values.dtype.name, kind, None, *_range(values))


def _collections(reader: Reader) -> dict[str, tuple[str, ...]]:
    assert isinstance(reader, RootReader)
    found = {name: reader.layout.members(name) for name in reader.layout.collections()}
    return {name: tuple(sorted(members)) for name, members in found.items()}
