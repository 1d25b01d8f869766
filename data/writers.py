"""Events written again with columns added: ROOT or parquet, a chunk at a time.

A copy of a ROOT file holds every branch of numbers, flat or jagged, of every tree. Jagged branches
that share a counter as NanoAOD's do (nJet, Jet_pt, …) share one again. Branches of other kinds are
named in a warning, as is what is no tree.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Protocol, Self

import awkward as ak
import pyarrow.parquet as pq
import uproot

from triggerforge.data.readers.root import tree_pieces
from triggerforge.data.storage import whole_file, writing
from triggerforge.errors import DataError

Columns = dict[str, Any]
"""name -> numpy or awkward array, all of one length"""


class Sink(Protocol):
    """Takes chunks of columns; the file appears whole when the `with` block ends well."""

    def write(self, columns: Columns) -> None:
        """Appends a chunk; the names and types are those of the first."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None: ...


def require_writable(path: Path, source: Path) -> None:
    """Looks at where a copy of `source` is to be written, before anything is made for it.

    Raises DataError if the ending is not .root or .parquet; if the folder is not there or cannot be
    written; if `path` is a folder, or `source` itself under whatever name.
    """
    if path.suffix not in (".root", ".parquet"):
        raise DataError(f"{path}: ending {path.suffix!r}; scores are written to .root or .parquet")
    if not path.parent.is_dir():
        raise DataError(f"{path}: no folder {path.parent}; make it, or write to another one")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the name of a file")
    if path.exists() and source.exists() and path.samefile(source):
        raise DataError(f"{path} is the input itself; write the scores to another file")
    with writing(path), TemporaryFile(dir=path.parent):
        pass


def open_sink(path: Path, tree: str) -> "RootSink | ParquetSink":
    """The sink for `path` by its ending, .root or .parquet; see `require_writable`."""
    return RootSink(path, tree) if path.suffix == ".root" else ParquetSink(path)


class _Whole:
    """Writes under a temporary name; renames at the end, or removes after an error."""

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        self._path = path

    def __enter__(self) -> Self:
        self._temporary = self._stack.enter_context(whole_file(self._path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


class RootSink(_Whole):
    """A ROOT file with the tree `tree`, and with `add_tree` others beside it."""

    def __init__(self, path: Path, tree: str) -> None:
        super().__init__(path)
        self._name = tree
        self._trees: dict[str, Any] = {}
        self._file: Any = None

    def __enter__(self) -> Self:
        super().__enter__()
        # an open file, not its name: uproot would take "::" in a name for a chain of file systems
        raw = self._stack.enter_context(self._temporary.open("w+b"))
        self._file = self._stack.enter_context(uproot.recreate(raw))
        return self

    def write(self, columns: Columns) -> None:
        """See Sink."""
        self.add_to(self._name, columns)

    def add_to(self, tree: str, columns: Columns) -> None:
        """Appends a chunk to a tree, made with the first one."""
        grouped = zip_collections(columns)
        if tree not in self._trees:
            types = {n: _branch_type(v) for n, v in grouped.items()}
            self._trees[tree] = self._file.mktree(tree, types)
        self._trees[tree].extend(grouped)


class ParquetSink(_Whole):
    """A parquet file with one row group a chunk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._writer: Any = None

    def write(self, columns: Columns) -> None:
        """See Sink."""
        table = ak.to_arrow_table(ak.Array(columns), extensionarray=False, list_to32=True)
        if self._writer is None:
            self._writer = self._stack.enter_context(
                pq.ParquetWriter(self._temporary, table.schema)
            )
        self._writer.write_table(table.cast(self._writer.schema))


def zip_collections(columns: Columns) -> Columns:
    """Columns of lists as ROOT trees group them.

    Where there is a column nX, jagged columns X_a, X_b of that many elements become one record X,
    and nX goes: the tree writes it anew.
    """
    jagged = {n for n, v in columns.items() if isinstance(v, ak.Array) and v.ndim == 2}
    jagged = {n for n in jagged if not _is_regular(columns[n])}
    grouped: Columns = {}
    members: dict[str, Columns] = {}
    for name, values in columns.items():
        collection = _collection(name, columns) if name in jagged else None
        if collection is None:
            grouped[name] = values
        else:
            members.setdefault(collection, {})[name[len(collection) + 1 :]] = values
    for collection, fields in members.items():
        del grouped[f"n{collection}"]
        grouped[collection] = ak.zip(fields)
    return grouped


def _is_regular(values: ak.Array) -> bool:
    return not str(values.type.content).startswith("var")


def _collection(name: str, columns: Columns) -> str | None:
    """The X of X_field for which there is a column nX of as many elements."""
    parts = name.split("_")
    for end in range(1, len(parts)):
        collection = "_".join(parts[:end])
        counter = columns.get(f"n{collection}")
        if counter is not None and ak.all(ak.num(columns[name], axis=1) == counter):
            return collection
    return None


def _branch_type(values: Any) -> Any:
    return values.type.content if isinstance(values, ak.Array) else values.dtype


def copyable(tree: Any) -> tuple[list[str], list[str]]:
    """Names of the branches that a copy can hold, and of those that it cannot."""
    good: list[str] = []
    bad: list[str] = []
    for branch in tree.branches:
        kind = branch.interpretation
        inner = kind.content if isinstance(kind, uproot.AsJagged) else kind
        numbers = isinstance(inner, uproot.AsDtype) and inner.to_dtype.base.kind in "fiub"
        flat = not isinstance(kind, uproot.AsJagged) or (numbers and inner.inner_shape == ())
        (good if numbers and flat and not branch.branches else bad).append(str(branch.name))
    return good, bad


def copy_other_trees(source: Mapping[str, Any], done: str, sink: RootSink, size: int) -> list[str]:
    """Copies every tree of `source` but `done`; gives back the names of what was left out."""
    left_out = []
    for name, kind in source.classnames().items():  # type: ignore[attr-defined]
        name = name.split(";")[0]
        if name == done:
            continue
        if kind != "TTree":
            left_out.append(name)
            continue
        tree = source[name]
        good, bad = copyable(tree)
        left_out += [f"{name}/{branch}" for branch in bad]
        for columns in tree_pieces(tree, good, size) if good else ():
            sink.add_to(name, columns)
    return left_out
