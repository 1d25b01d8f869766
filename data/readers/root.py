"""ROOT trees through uproot: flat and jagged branches, by a mapping to events and constituents.

An event of the network is an entry of the tree, or an element of one of its collections
(`objects`). Its constituents are the elements of jagged branches, or the candidates that an index
table links to it, as PFNano does.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.expressions import Expression, numbered_from
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    check_chunk,
    from_numbers,
    from_one_hot,
    missing,
    reading,
)
from triggerforge.errors import DataError, did_you_mean

LAYOUT = "a ROOT tree"


class RootReader:
    """Reads one ROOT file by `mapping`.

    `label` is the expression of the class number, or one expression of a flag for each class; None
    where the configuration has to say. Raises DataError if the file is no ROOT file, or lacks the
    tree or a branch that the mapping names.
    """

    def __init__(
        self,
        path: Path,
        mapping: MappingConfig,
        name: str = "root",
        classes: tuple[str, ...] = (),
        label: str | tuple[str, ...] | None = None,
    ) -> None:
        self.path = path
        self.format = name
        self.classes = classes
        self.aliases = frozenset(mapping.columns or {}) | frozenset(mapping.constituents or {})
        self._mapping = mapping
        self.objects = mapping.objects
        with reading(path, LAYOUT), uproot.open(path) as file:
            tree = find_tree(file, path, mapping.tree)
            self.tree = str(tree.name)
            self.entries = int(tree.num_entries)
            branches = {str(b.name): b for b in tree.itervalues(recursive=True)}
            depths = {n: branch_depth(b) for n, b in branches.items()}
            self._depths = {n: d for n, d in depths.items() if d is not None}
            self._bytes = {n: float(branches[n].uncompressed_bytes) for n in self._depths}
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
        mapping = self._mapping
        scalars = {n for n, d in self._depths.items() if d == 0}
        jagged = {n for n, d in self._depths.items() if d == 1}
        own = self._members(mapping.objects) if mapping.objects else set()
        self.event_columns = frozenset(set(self._events) | own | scalars)
        if mapping.links:
            listed = self._members(mapping.candidates) if mapping.candidates else set()
        else:
            listed = set() if mapping.objects else jagged
        self.particle_columns = frozenset(set(self._particles) | listed)

    def _members(self, collection: str) -> set[str]:
        """Short names of the jagged branches of a collection."""
        prefixes = (f"{collection}_", f"{collection}.")
        return {
            n[len(collection) + 1 :]
            for n, depth in self._depths.items()
            if depth == 1 and n.startswith(prefixes)
        }

    def _check_mapping(self) -> None:
        mapping, path = self._mapping, self.path
        if mapping.objects and not self._members(mapping.objects):
            found = {n.split("_")[0] for n, d in self._depths.items() if d == 1}
            raise missing(path, "collection of branches", mapping.objects, frozenset(found))
        if (mapping.links is None) != (mapping.candidates is None):
            raise DataError("mapping: give links and candidates together, or neither")
        if mapping.links and not mapping.objects:
            raise DataError("mapping: links need objects, the collection that they point to")
        for symbols, collection in self._needs():
            for symbol in symbols:
                self._branch(symbol, collection)

    def _needs(self) -> Iterator[tuple[frozenset[str], str | None]]:
        """The symbols of every expression, with the collection whose short names they may use."""
        mapping = self._mapping
        for expression in self._events.values():
            yield expression.symbols, mapping.objects
        for expression in self._particles.values():
            yield expression.symbols, mapping.candidates or mapping.objects
        if mapping.links:
            yield frozenset({f"{mapping.links}_jetIdx", f"{mapping.links}_pFCandsIdx"}), None

    def _branch(self, symbol: str, collection: str | None) -> str:
        """The branch that a symbol stands for; raises DataError with the nearest names."""
        if collection:
            for name in (f"{collection}_{symbol}", f"{collection}.{symbol}"):
                if name in self._depths:
                    return name
        if symbol in self._depths:
            return symbol
        raise missing(self.path, "branch", symbol, frozenset(self._depths))

    def _expression(self, name: str, particle: bool) -> Expression:
        known = self._particles if particle else self._events
        return known[name] if name in known else Expression(name)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        events = {n: self._expression(n, particle=False) for n in sorted(request.events)}
        particles = {n: self._expression(n, particle=True) for n in sorted(request.particles)}
        label = self._label if request.label else []
        branches = self._branches([*events.values(), *label], list(particles.values()))
        load = sum(self._bytes[b] for b in branches) / max(self.entries, 1)
        check_chunk(self.path, max(load, 1.0), min(size, max(self.entries, 1)))
        first = 0
        with reading(self.path, LAYOUT), uproot.open(self.path) as file:
            tree = find_tree(file, self.path, self.tree)
            for read in tree_pieces(tree, branches, size):
                piece = {name: _widened(values) for name, values in read.items()}
                entries = len(next(iter(piece.values())))
                with numbered_from(first):
                    chunks = [self._chunk(first, piece, events, particles, label)]
                del read, piece
                yield chunks.pop()  # held by the consumer alone
                first += entries

    def _branches(self, events: list[Expression], particles: list[Expression]) -> set[str]:
        mapping = self._mapping
        names = {self._branch(s, mapping.objects) for e in events for s in e.symbols}
        inner = mapping.candidates or mapping.objects
        names |= {self._branch(s, inner) for e in particles for s in e.symbols}
        if mapping.objects:
            names.add(self._counter(mapping.objects))
        if mapping.links and mapping.candidates and particles:
            names |= {f"{mapping.links}_jetIdx", f"{mapping.links}_pFCandsIdx"}
            names.add(self._counter(mapping.candidates))
        return names or {next(iter(self._depths))}

    def _counter(self, collection: str) -> str:
        """A branch whose list lengths are the collection's."""
        return self._branch(min(self._members(collection)), collection)

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
            per_entry = counts_of(piece[self._counter(objects)])
            size = int(per_entry.sum())
        columns = {
            n: self._per_event(n, self._evaluate(e, piece, objects), per_entry, size)
            for n, e in events.items()
        }
        flat, counts = self._constituents(piece, particles, per_entry)
        return Chunk(
            first=first,
            events=columns,
            particles=flat,
            counts=counts,
            label=self._labels(label, first, piece, per_entry, size),
            per_entry=per_entry,
            size=size,
        )

    def _evaluate(
        self, expression: Expression, piece: Mapping[str, Any], collection: str | None
    ) -> Any:
        symbols = {s: piece[self._branch(s, collection)] for s in expression.symbols}
        return expression.evaluate(symbols)

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
        piece: Mapping[str, Any],
        particles: dict[str, Expression],
        per_entry: NDArray[np.int64] | None,
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64] | None]:
        if not particles:
            return {}, None
        mapping = self._mapping
        values = {
            n: self._evaluate(e, piece, mapping.candidates or mapping.objects)
            for n, e in particles.items()
        }
        if mapping.links is None:
            return self._same_lengths(values)
        assert mapping.candidates is not None and per_entry is not None
        index, counts = self._linked(piece, mapping.links, mapping.candidates, per_entry)
        return {n: ak.to_numpy(ak.flatten(v, axis=1))[index] for n, v in values.items()}, counts

    def _same_lengths(
        self, values: dict[str, Any]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        lengths: NDArray[np.int64] | None = None
        flat: dict[str, NDArray[Any]] = {}
        for name, lists in values.items():
            if not isinstance(lists, ak.Array) or lists.ndim != 2:
                raise DataError(f"{self.path}: {name!r} is no list of constituents for each event")
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

    def _linked(
        self,
        piece: Mapping[str, Any],
        links: str,
        candidates: str,
        per_entry: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(m,) index of each constituent among the chunk's candidates, (n,) counts."""
        jets, picks = piece[f"{links}_jetIdx"], piece[f"{links}_pFCandsIdx"]
        in_entry = counts_of(piece[self._counter(candidates)])
        entry = np.repeat(np.arange(len(per_entry)), counts_of(jets))
        jet = ak.to_numpy(ak.flatten(jets, axis=1)).astype(np.int64)
        pick = ak.to_numpy(ak.flatten(picks, axis=1)).astype(np.int64)
        linked = (jet >= 0) & (pick >= 0)
        entry, jet, pick = entry[linked], jet[linked], pick[linked]
        outside = (jet >= per_entry[entry]) | (pick >= in_entry[entry])
        if outside.any():
            raise DataError(
                f"{self.path}: {int(outside.sum())} links of {links!r} point behind the end of "
                f"{self._mapping.objects!r} or {candidates!r}; choose the links that belong to "
                "mapping.objects"
            )
        jet += _starts(per_entry)[entry]
        pick += _starts(in_entry)[entry]
        order = np.argsort(jet, kind="stable")
        counts = np.bincount(jet, minlength=int(per_entry.sum())).astype(np.int64)
        return pick[order], counts

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
        columns = [
            self._per_event(
                e.text, self._evaluate(e, piece, self._mapping.objects), per_entry, size
            )
            for e in label
        ]
        if self._one_hot:
            return from_one_hot(np.stack(columns, axis=1))
        return from_numbers(self.path, columns[0], len(self.classes), first)


def find_tree(file: Any, path: Path, name: str | None) -> Any:
    """The tree `name`, or the only one.

    Raises DataError if there is none or no telling which, or if the file is shorter than it says.
    """
    size, due = path.stat().st_size, int(file.file.fEND)
    if size < due:
        raise DataError(f"{path} has {size} bytes, its header says {due}; it is truncated")
    kinds = {k.split(";")[0]: c for k, c in file.classnames().items()}
    trees = {k for k, c in kinds.items() if c in ("TTree", "TNtuple")}
    if not trees and "ROOT::RNTuple" in kinds.values():
        raise DataError(f"{path} holds an RNTuple, which is not read yet; write it as a TTree")
    if name is None and len(trees) == 1:
        name = next(iter(trees))
    if name is None or name not in trees:
        hint = did_you_mean(name or "", trees)
        what = f"has no tree {name!r}" if name else f"has {len(trees)} trees: set mapping.tree"
        raise DataError(f"{path} {what}; {hint}")
    tree = file[name]
    if tree.num_entries == 0:
        raise DataError(f"{path}: tree {name!r} has no entries")
    return tree


def branch_depth(branch: Any) -> int | None:
    """0: one number an entry; 1: a list of numbers; None: something else."""
    kind = branch.interpretation
    if isinstance(kind, uproot.AsJagged):
        inner = kind.content
        flat = isinstance(inner, uproot.AsDtype) and inner.inner_shape == ()
        return 1 if flat and inner.to_dtype.kind in "fiub" else None
    if isinstance(kind, uproot.AsDtype) and kind.inner_shape == ():
        return 0 if kind.to_dtype.kind in "fiub" else None
    return None


def tree_pieces(tree: Any, branches: Collection[str], size: int) -> Iterator[dict[str, Any]]:
    """Branch name -> awkward array, for at most `size` entries at a time, in order.

    Not tree.iterate: that holds on to a piece until it has read the next one. This holds none.
    """
    for first in range(0, int(tree.num_entries), size):
        yield _piece(tree, branches, first, first + size)


def _piece(tree: Any, branches: Collection[str], first: int, last: int) -> dict[str, Any]:
    piece = tree.arrays(
        filter_branch=lambda b: b.name in branches,
        entry_start=first,
        entry_stop=last,
        array_cache=None,
    )
    return {name.split("/")[-1]: piece[name] for name in piece.fields}


def _widened(values: Any) -> Any:
    """Short integers as 64-bit ones, so that arithmetic on them does not wrap."""
    kind = ak.to_numpy(ak.flatten(values, axis=None)).dtype
    return ak.values_astype(values, np.int64) if kind.kind in "iu" and kind.itemsize < 8 else values


def counts_of(lists: Any) -> NDArray[np.int64]:
    """(entries,) lengths of the lists."""
    lengths: NDArray[np.int64] = ak.to_numpy(ak.num(lists, axis=1)).astype(np.int64)
    return lengths


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the first element of each list in the flat array."""
    return np.cumsum(counts) - counts


def merged(preset: MappingConfig, own: MappingConfig) -> MappingConfig:
    """The preset's mapping with the user's keys in their place, and the user's names beside."""
    update = own.model_dump(exclude_none=True)
    for name in ("columns", "constituents"):
        if name in update:
            update[name] = (getattr(preset, name) or {}) | update[name]
    return preset.model_copy(update=update)


@READERS.register("root")
def open_root(path: Path, config: DataConfig) -> Reader:
    """A reader of any ROOT tree, by the configuration's mapping alone."""
    return RootReader(path, config.mapping)
