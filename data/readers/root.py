"""ROOT trees through uproot: flat and jagged columns, by a mapping to events and constituents.

An event of the network is an entry of the tree, or an element of one of its collections
(`objects`). Its constituents are the elements of jagged columns, or the lists that an element of
the collection holds, or the candidates that an index table links to it, as PFNano does.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.expressions import Expression
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    from_numbers,
    from_one_hot,
    missing,
    reading,
)
from triggerforge.data.readers.links import link_columns, linked
from triggerforge.data.readers.trees import LAYOUT, Layout, counts_of, layout_of, pieces
from triggerforge.errors import DataError

JET_KINEMATICS = {"jet_pt": "pt", "jet_eta": "eta", "jet_phi": "phi", "jet_mass": "mass"}
"""what the quantities of an event are called in a collection of jets"""


class RootReader:
    """Reads one tree by `mapping`.

    `label` is the expression of the class number, or one expression of a flag for each class; None
    where the configuration has to say. Raises DataError if the tree lacks a column that the mapping
    names.
    """

    def __init__(
        self,
        layout: Layout,
        mapping: MappingConfig,
        name: str = "root",
        classes: tuple[str, ...] = (),
        label: str | tuple[str, ...] | None = None,
    ) -> None:
        self.path, self.tree, self.entries = layout.path, layout.tree, layout.entries
        self.layout = layout
        self.format = name
        self.classes = classes
        self.aliases = frozenset(mapping.columns or {}) | frozenset(mapping.constituents or {})
        self._mapping = mapping
        self.objects = mapping.objects
        if self.entries == 0:
            raise DataError(f"{self.path}: tree {self.tree!r} has no entries")
        if not layout.leaves:
            held = ", ".join(f"{n} ({kind})" for n, kind in list(layout.others.items())[:4])
            raise DataError(
                f"{self.path}: tree {self.tree!r} holds no numbers or lists of numbers that can be "
                f"read, but {held or 'nothing'}; choose another tree (data.mapping.tree)"
            )
        columns, constituents = mapping.columns or {}, mapping.constituents or {}
        self._events = {n: Expression(text) for n, text in columns.items()}
        self._particles = {n: Expression(text) for n, text in constituents.items()}
        texts = () if label is None else (label,) if isinstance(label, str) else label
        self._label = [Expression(text) for text in texts]
        self._one_hot = isinstance(label, tuple)
        self.labelled = bool(texts)
        self._offer()
        self._check_mapping()

    def _offer(self) -> None:
        mapping, layout = self._mapping, self.layout
        flat = {n for n, d in layout.depths.items() if d == 0}
        own = layout.members(mapping.objects) if mapping.objects else {}
        self.event_columns = frozenset(set(self._events) | set(own) | flat)
        if mapping.candidates:
            listed = set(layout.members(mapping.candidates))
        elif mapping.objects:
            listed = set(layout.members(mapping.objects, depth=2))
        else:
            listed = {n for n, d in layout.depths.items() if d == 1}
        self.particle_columns = frozenset(set(self._particles) | listed)

    def _check_mapping(self) -> None:
        mapping, layout = self._mapping, self.layout
        if (mapping.links is None) != (mapping.candidates is None):
            raise DataError("mapping: give links and candidates together, or neither")
        if mapping.links and not mapping.objects:
            raise DataError("mapping: links need objects, the collection that they point to")
        for collection in filter(None, (mapping.objects, mapping.candidates, mapping.links)):
            if not layout.members(collection):
                known = frozenset(layout.collections())
                raise missing(self.path, "collection of branches", collection, known)
        for expression in self._events.values():
            self._columns_of(expression, mapping.objects)
        for expression in self._particles.values():
            self._columns_of(expression, self._inner)

    @property
    def _inner(self) -> str | None:
        """The collection whose short names the expressions of constituents may use."""
        return self._mapping.candidates or self._mapping.objects

    def _columns_of(self, expression: Expression, collection: str | None) -> dict[str, str]:
        """Symbol -> column."""
        return {s: self.layout.column(s, collection) for s in expression.symbols}

    def _expression(self, name: str, particle: bool) -> Expression:
        known = self._particles if particle else self._events
        return known[name] if name in known else Expression(name)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        events = {n: self._expression(n, particle=False) for n in sorted(request.events)}
        particles = {n: self._expression(n, particle=True) for n in sorted(request.particles)}
        label = self._label if request.label else []
        columns = self._needed([*events.values(), *label], list(particles.values()))
        self.layout.check_size(columns, size)
        first = 0
        with reading(self.path, LAYOUT):
            for read in pieces(self.layout, columns, size):
                entries = len(next(iter(read.values())))
                chunks = [self._chunk(first, read, events, particles, label)]
                del read
                yield chunks.pop()  # held by the consumer alone
                first += entries

    def _needed(self, events: list[Expression], particles: list[Expression]) -> set[str]:
        mapping, layout = self._mapping, self.layout
        names = {c for e in events for c in self._columns_of(e, mapping.objects).values()}
        names |= {c for e in particles for c in self._columns_of(e, self._inner).values()}
        if mapping.objects:
            names.add(layout.sizer(mapping.objects))
        if mapping.links and mapping.candidates and particles:
            names |= {*link_columns(layout, mapping.links), layout.sizer(mapping.candidates)}
        return names or {next(iter(layout.leaves))}

    def _chunk(
        self,
        first: int,
        piece: Mapping[str, Any],
        events: dict[str, Expression],
        particles: dict[str, Expression],
        label: list[Expression],
    ) -> Chunk:
        objects = self._mapping.objects
        per_entry = None
        size = len(next(iter(piece.values())))
        if objects:
            per_entry = counts_of(piece[self.layout.sizer(objects)])
            size = int(per_entry.sum())
        columns = {n: self._column(n, e, piece, first, per_entry, size) for n, e in events.items()}
        flat, counts = self._constituents(first, piece, particles, per_entry)
        return Chunk(
            first=first,
            events=columns,
            particles=flat,
            counts=counts,
            label=self._labels(label, first, piece, per_entry, size),
            per_entry=per_entry,
            size=size,
        )

    def _column(
        self,
        name: str,
        expression: Expression,
        piece: Mapping[str, Any],
        first: int,
        per_entry: NDArray[np.int64] | None,
        size: int,
    ) -> NDArray[Any]:
        """A column (n,) of the chunk's events."""
        objects = self._mapping.objects
        if not self._nested(expression, objects):
            values = self._evaluate(expression, piece, objects, first)
            return self._per_event(name, values, per_entry, size)
        values = self._evaluate_inside(expression, piece, first, per_entry)
        if values.ndim != 1:
            raise DataError(
                f"{self.path}: {name!r} has a list for each of {objects!r}; a single number is due. "
                "Reduce it (sum, count, max, first, …) in data.mapping.columns"
            )
        return np.asarray(values)

    def _nested(self, expression: Expression, collection: str | None) -> list[str]:
        """Its columns that hold lists of lists."""
        columns = self._columns_of(expression, collection).values()
        return [name for name in columns if self.layout.depths[name] > 1]

    def _evaluate(
        self, expression: Expression, piece: Mapping[str, Any], collection: str | None, first: int
    ) -> Any:
        """The value for each entry."""
        columns = self._columns_of(expression, collection)
        return expression.evaluate({symbol: piece[name] for symbol, name in columns.items()}, first)

    def _evaluate_inside(
        self,
        expression: Expression,
        piece: Mapping[str, Any],
        first: int,
        per_entry: NDArray[np.int64] | None,
    ) -> Any:
        """The value for each event, where an element of `objects` holds lists itself."""
        objects = self._mapping.objects
        if per_entry is None:
            raise DataError(
                f"{self.path}: {self._nested(expression, objects)[0]!r} holds lists of lists; make the "
                "elements of its collection the events (data.mapping.objects)"
            )
        columns = self._columns_of(expression, objects)
        inside = {s: self._of_events(n, piece[n], per_entry) for s, n in columns.items()}
        entry = first + np.repeat(np.arange(len(per_entry)), per_entry)
        return expression.evaluate(inside, entry)

    def _of_events(
        self, name: str, values: Any, per_entry: NDArray[np.int64]
    ) -> NDArray[Any] | ak.Array:
        """Numbers or lists (events,) of a column (entries,)."""
        if values.ndim < 3:
            return self._per_event(name, values, per_entry, int(per_entry.sum()))
        if not np.array_equal(counts_of(values), per_entry):
            raise DataError(
                f"{self.path}: {name!r} has other list lengths than {self._mapping.objects!r}"
            )
        return ak.flatten(values, axis=1)

    def _per_event(
        self, name: str, values: Any, per_entry: NDArray[np.int64] | None, size: int
    ) -> NDArray[Any]:
        """A column with one number for each event, from one for each entry or each event."""
        if not isinstance(values, ak.Array | np.ndarray):
            return np.full(size, values)
        if values.ndim == 1:
            column = ak.to_numpy(values)
            return column if per_entry is None else np.repeat(column, per_entry)
        if per_entry is None or values.ndim != 2:
            raise DataError(
                f"{self.path}: {name!r} has a list for each event; a single number is due. Reduce "
                "it (sum, count, max, first, …) in data.mapping.columns, or set mapping.objects"
            )
        if not np.array_equal(counts_of(values), per_entry):
            raise DataError(
                f"{self.path}: {name!r} has other list lengths than {self._mapping.objects!r}; "
                "reduce it (sum, count, max, first, …) in data.mapping.columns"
            )
        return np.asarray(ak.flatten(values, axis=1))

    def _constituents(
        self,
        first: int,
        piece: Mapping[str, Any],
        particles: dict[str, Expression],
        per_entry: NDArray[np.int64] | None,
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64] | None]:
        if not particles:
            return {}, None
        mapping, layout = self._mapping, self.layout
        inside = mapping.objects and not mapping.links
        values = {
            n: self._evaluate_inside(e, piece, first, per_entry)
            if inside
            else self._evaluate(e, piece, self._inner, first)
            for n, e in particles.items()
        }
        flat, counts = self._same_lengths(values)
        if not mapping.links:
            return flat, counts
        assert mapping.candidates is not None and per_entry is not None
        jets, picks = (piece[name] for name in link_columns(layout, mapping.links))
        in_entry = counts_of(piece[layout.sizer(mapping.candidates)])
        if not np.array_equal(in_entry, counts):
            raise DataError(
                f"{self.path}: {sorted(flat)} have other list lengths than {mapping.candidates!r}"
            )
        table = f"{self.path}", mapping.links
        index, counts = linked(table, jets, picks, per_entry, in_entry)
        return {n: v[index] for n, v in flat.items()}, counts

    def _same_lengths(
        self, values: dict[str, Any]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        lengths: NDArray[np.int64] | None = None
        flat: dict[str, NDArray[Any]] = {}
        for name, lists in values.items():
            if not isinstance(lists, ak.Array) or lists.ndim != 2:
                hint = "; set mapping.candidates and mapping.links" if self.objects else ""
                raise DataError(
                    f"{self.path}: {name!r} is no list of constituents for each event{hint}"
                )
            found = counts_of(lists)
            if lengths is not None and not np.array_equal(found, lengths):
                raise DataError(
                    f"{self.path}: {name!r} and {next(iter(flat))!r} have lists of different "
                    "lengths; constituents must come from one collection"
                )
            lengths = found
            flat[name] = ak.to_numpy(ak.flatten(lists, axis=1))
        assert lengths is not None
        return flat, lengths

    def _labels(
        self,
        label: list[Expression],
        first: int,
        piece: Mapping[str, Any],
        per_entry: NDArray[np.int64] | None,
        size: int,
    ) -> NDArray[np.int64] | None:
        if not label:
            return None
        columns = [self._column(e.text, e, piece, first, per_entry, size) for e in label]
        if self._one_hot:
            return from_one_hot(self.path, np.stack(columns, axis=1), first)
        return from_numbers(self.path, columns[0], len(self.classes), first)


def merged(preset: MappingConfig, own: MappingConfig, layout: Layout) -> MappingConfig:
    """The preset's mapping with the user's keys in their place, and the user's names beside.

    What the preset names and the tree does not have is left out: only what is asked for is needed.
    """
    update = own.model_dump(exclude_none=True)
    objects = own.objects or preset.objects
    inner = own.candidates or preset.candidates or objects
    for name, collection in (("columns", objects), ("constituents", inner)):
        offered = getattr(preset, name) or {}
        found = {n: text for n, text in offered.items() if _can_be_read(text, collection, layout)}
        update[name] = found | (getattr(own, name) or {})
    return preset.model_copy(update=update)


def _can_be_read(text: str, collection: str | None, layout: Layout) -> bool:
    return all(layout.find(s, collection) is not None for s in Expression(text).symbols)


@READERS.register("root")
def open_root(path: Path, config: DataConfig) -> Reader:
    """A reader of any ROOT tree, by the configuration's mapping alone."""
    layout = layout_of(path, config.mapping.tree)
    preset = MappingConfig(columns=JET_KINEMATICS if config.mapping.objects else {})
    return RootReader(layout, merged(preset, config.mapping, layout))
