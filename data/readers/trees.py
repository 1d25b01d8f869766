"""One face for the two kinds of event tables in a ROOT file, TTree and RNTuple.

`layout_of` says which numbers a table holds and under which names; `pieces` reads some of them, so
many entries at a time. What holds no numbers (strings, references, maps, deeper lists) is listed with
its type and left alone.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from triggerforge.data.readers.base import MAX_CHUNK_BYTES, check_chunk, missing, reading
from triggerforge.data.readers.leaves import Leaf, rntuple_leaves, ttree_leaves
from triggerforge.errors import DataError, did_you_mean

LAYOUT = "a ROOT tree"
RNTUPLE = "ROOT::RNTuple"
_TREES = ("TTree", "TNtuple", "TNtupleD", RNTUPLE)
USUAL = ("Events", "events", "jets", "crossings", "tree", "Delphes", "CollectionTree", "EventData")
"""Names under which people keep events beside tables of runs and metadata."""
_SIZING = ("pt", "px", "energy", "e", "x")
_SEPARATORS = ("_", ".", ":")


def _ends() -> Iterator[str]:
    return (separator + word for separator in _SEPARATORS for word in _SIZING)


@dataclass(frozen=True)
class Layout:
    """What a tree holds."""

    path: Path
    tree: str
    """its path in the file"""
    entries: int
    leaves: Mapping[str, Leaf]
    """columns of numbers by name"""
    others: Mapping[str, str]
    """name -> type of what holds no numbers"""
    rntuple: bool = False

    @cached_property
    def depths(self) -> dict[str, int]:
        """Name -> 0: a number an entry; 1: a list; 2: lists in a list."""
        return {name: leaf.depth for name, leaf in self.leaves.items()}

    @property
    def columns(self) -> list[str]:
        """Names of all columns, of numbers or not."""
        return [*self.leaves, *self.others]

    def members(self, collection: str, depth: int = 1) -> dict[str, str]:
        """Short name -> column of the lists (`depth` 1), or lists of lists, of a collection.

        Those are X_pt, X.pt and X:pt (ATLAS' RNTuples); xPt where a collection x has none.
        """
        listed = [n for n, d in self.depths.items() if d == depth]
        cut = len(collection)
        found = {
            n[cut + 1 :]: n
            for n in listed
            if n.startswith(tuple(collection + s for s in _SEPARATORS))
        }
        if found or depth != 1:
            return found
        return {
            n[cut:]: n for n in listed if n.startswith(collection) and n[cut : cut + 1].isupper()
        }

    def sizer(self, collection: str) -> str:
        """A column whose list lengths are the collection's.

        Columns with another counter than most may begin with the same word (Jet_cand_pt).
        """
        members = self.members(collection)
        counters = Counter(self.leaves[n].lengths for n in members.values())
        common = counters.most_common(1)[0][0]
        names = {short: n for short, n in members.items() if self.leaves[n].lengths == common}
        kinematic = (n for word in _SIZING for short, n in names.items() if short.lower() == word)
        return next(kinematic, names[min(names, key=lambda short: (len(short), short))])

    def find(self, symbol: str, collection: str | None = None) -> str | None:
        """The column that `symbol` stands for: one of the collection before one of the tree."""
        if collection:
            for depth in (1, 2):
                if symbol in (members := self.members(collection, depth)):
                    return members[symbol]
        return symbol if symbol in self.leaves else None

    def column(self, symbol: str, collection: str | None = None) -> str:
        """As `find`; raises DataError with the nearest names, or with the type of what is there."""
        name = self.find(symbol, collection)
        if name is not None:
            return name
        for other in (symbol, *(f"{collection}{s}{symbol}" for s in _SEPARATORS)):
            if other in self.others:
                raise DataError(
                    f"{self.path}: branch {other!r} holds {self.others[other]}, no number or list of "
                    "numbers that an expression could use; choose another branch"
                )
        known = frozenset(self.leaves)
        if collection:
            known |= frozenset(self.members(collection))
        raise missing(self.path, "branch", symbol, known)

    def collections(self) -> dict[str, list[str]]:
        """Name of each collection of lists -> its columns: what stands before a known short name
        (pt, px, …), else before the first separator."""
        found: dict[str, list[str]] = {}
        listed = [n for n, d in self.depths.items() if d == 1]
        heads = {n[: -len(end)] for n in listed for end in _ends() if n.lower().endswith(end)}
        for name in listed:
            before = [h for h in heads if name.startswith(tuple(h + s for s in _SEPARATORS))]
            first = min(filter(None, (name.partition(s)[0] for s in _SEPARATORS)), key=len)
            found.setdefault(max(before, key=len, default=first), []).append(name)
        return found

    def check_size(self, names: Collection[str], size: int) -> None:
        """Raises DataError if `size` entries of these columns need more memory than is allowed."""
        leaves = [self.leaves[name] for name in names]
        entry = sum(leaf.bytes for leaf in leaves) / max(self.entries, 1)
        check_chunk(self.path, max(entry, 1.0), min(size, self.entries))
        at_once = sum(leaf.at_once for leaf in leaves)
        if at_once > MAX_CHUNK_BYTES:
            raise DataError(
                f"{self.path}: a cluster of {self.tree!r} says that it holds {at_once:.3g} bytes, which "
                f"are read at once; {MAX_CHUNK_BYTES:,} are allowed: read fewer columns or write smaller "
                "clusters; or the file is damaged"
            )


def layout_of(path: Path, name: str | None = None) -> Layout:
    """What the tree `name` of a file holds; left out: the only one, or the one with a usual name.

    Raises DataError if the file is no ROOT file or cut short, or if there is no such tree, or no
    telling which.
    """
    with reading(path, LAYOUT), uproot.open(path) as file:
        name = tree_name(file, path, name)
        state = path.stat()
    return _layout(path, name, (state.st_ino, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=8)  # to parse the 1,500 branches of a NanoAOD tree takes a second or two
def _layout(path: Path, name: str, _state: tuple[int, int, int]) -> Layout:
    with reading(path, LAYOUT), uproot.open(path) as file:
        return described(file, path, name)


def described(file: Any, path: Path, name: str) -> Layout:
    """What the tree at the path `name` of an open file holds."""
    tree = file[name]
    rntuple = table_kinds(file)[name] == RNTUPLE
    leaves, others = (rntuple_leaves if rntuple else ttree_leaves)(tree)
    return Layout(path, name, int(tree.num_entries), leaves, others, rntuple)


def find_tree(file: Any, path: Path, name: str | None) -> Any:
    """The open tree `name`, as `layout_of` finds it; raises DataError if it has no entries."""
    name = tree_name(file, path, name)
    tree = file[name]
    if tree.num_entries == 0:
        raise DataError(f"{path}: tree {name!r} has no entries")
    return tree


def table_kinds(file: Any) -> dict[str, str]:
    """Path in the file -> class of every TTree, TNtuple and RNTuple, directories included."""
    kinds = {key.split(";")[0]: kind for key, kind in file.classnames().items()}
    return {name: kind for name, kind in kinds.items() if kind in _TREES}


def tree_name(file: Any, path: Path, name: str | None) -> str:
    """The path of a tree in the file: `name` may leave its folder out where one tree has it.

    Raises DataError if there is none or no telling which, or if the file is shorter than it says.
    """
    size, due = path.stat().st_size, int(file.file.fEND)
    if size < due:
        raise DataError(f"{path} has {size} bytes, its header says {due}; it is truncated")
    trees = list(table_kinds(file))
    if not trees:
        held = [f"{k.split(';')[0]} ({c})" for k, c in file.classnames().items()]
        shown = ", ".join(held[:8]) or "nothing"
        raise DataError(f"{path} holds no TTree and no RNTuple, but {shown}; choose another file")
    if name is None:
        fit = [t for t in trees if t in USUAL] if len(trees) > 1 else trees
    else:
        asked = name.split(";")[0].strip("/")
        fit = [t for t in trees if t == asked] or [t for t in trees if t.endswith("/" + asked)]
    if len(fit) == 1:
        return fit[0]
    what = f"has no tree {name!r}" if name else f"holds {len(trees)} trees; set data.mapping.tree"
    if name and len(fit) > 1:
        what = f"holds {len(fit)} trees {name!r}; set data.mapping.tree to one with its folder"
    hint = f" ({did_you_mean(name, trees)})" if name and not fit else ""
    raise DataError(f"{path} {what}{hint}; trees and their entries: {_listed(file, fit or trees)}")


def _listed(file: Any, trees: list[str]) -> str:
    counted = {name: entries_of(file, name) for name in trees[:20]}
    shown = ", ".join(f"{n} ({'unreadable' if e < 0 else e})" for n, e in counted.items())
    return shown + (f", … ({len(trees)} in all)" if len(trees) > 20 else "")


def entries_of(file: Any, name: str) -> int:
    """Entries of a tree of an open file; -1 if it cannot be read."""
    try:
        return int(file[name].num_entries)
    except Exception:  # noqa: BLE001  a damaged tree beside the one that is looked for
        return -1


def pieces(layout: Layout, names: Collection[str], size: int) -> Iterator[dict[str, Any]]:
    """Column name -> awkward array, for at most `size` entries at a time, in order.

    Arrays of a fixed length are lists like others. Not tree.iterate: that holds on to a piece until it
    has read the next one. This holds none. Raises DataError that names the branch where a piece
    cannot be read.
    """
    leaves = [layout.leaves[name] for name in sorted(names)]
    with reading(layout.path, LAYOUT), uproot.open(layout.path) as file:
        tree = find_tree(file, layout.path, layout.tree)
        for first in range(0, layout.entries, size):
            last = min(first + size, layout.entries)
            yield {leaf.name: _values(layout, tree, leaf, first, last) for leaf in leaves}


def _values(layout: Layout, tree: Any, leaf: Leaf, first: int, last: int) -> Any:
    values = read_leaf(layout, tree, leaf, first, last)
    return ak.from_regular(values, axis=None) if leaf.depth else values


def read_leaf(layout: Layout, tree: Any, leaf: Leaf, first: int, last: int) -> Any:
    """(last - first,) numbers or lists of a column of the open `tree`; raises DataError as `pieces`."""
    with _blaming(layout, leaf, first, last):
        values = leaf.pick(_read(tree, layout.rntuple, leaf.key, first, last))
    if len(values) != last - first:
        raise DataError(
            f"{layout.path}: branch {leaf.key!r} of tree {layout.tree!r} ends at entry "
            f"{first + len(values)}, the tree says {layout.entries}; the file is damaged"
        )
    return values


def _read(tree: Any, rntuple: bool, key: str, first: int, last: int) -> Any:
    options = {"entry_start": first, "entry_stop": last, "array_cache": None}
    return (_field(tree, key) if rntuple else tree[key]).array(**options)


def _field(table: Any, key: str) -> Any:
    return next(field for field in table.all_fields if field.path == key)


@contextmanager
def _blaming(layout: Layout, leaf: Leaf, first: int, last: int) -> Iterator[None]:
    """Turns what uproot raises on a damaged basket or page into one line that names its place."""
    try:
        yield
    except Exception as error:  # it raises almost any type
        text = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{layout.path}: branch {leaf.key!r} of tree {layout.tree!r} cannot be read, entries {first} to "
            f"{last - 1}: {text[:200]}; the file is damaged there (make or fetch it again) or of a kind "
            "that uproot does not read: do without this branch"
        ) from error


def counts_of(lists: Any) -> NDArray[np.int64]:
    """(entries,) lengths of the lists."""
    lengths: NDArray[np.int64] = ak.to_numpy(ak.num(lists, axis=1)).astype(np.int64)
    return lengths
