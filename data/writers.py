"""Events written again with columns added: ROOT or parquet, a chunk at a time.

Columns of lists that share a counter in the tree they come from (nJet, Jet_pt, …) share one again.
Nothing about a column is decided from the values of its first chunk.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Protocol, Self

import awkward as ak
import pyarrow.parquet as pq
import uproot

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
    """A ROOT file with the tree `tree`, and with `add_to` others beside it.

    A tree is written as `plan` says, else as a TTree whose lists have a counter each.
    """

    def __init__(self, path: Path, tree: str) -> None:
        super().__init__(path)
        self._name = tree
        self._plans: dict[str, TreeForm] = {}
        self._trees: dict[str, Any] = {}
        self._file: Any = None

    def __enter__(self) -> Self:
        super().__enter__()
        # an open file, not its name: uproot would take "::" in a name for a chain of file systems
        raw = self._stack.enter_context(self._temporary.open("w+b"))
        self._file = self._stack.enter_context(uproot.recreate(raw))
        return self

    def plan(self, tree: str, plan: "TreeForm") -> None:
        """How `tree` is to be written."""
        self._plans[tree] = plan

    def write(self, columns: Columns) -> None:
        """See Sink."""
        self.add_to(self._name, columns)

    def add_to(self, tree: str, columns: Columns) -> None:
        """Appends a chunk to a tree, made with the first one."""
        plan = self._plans.get(tree, TreeForm())
        if plan.rntuple:
            self._add_to_rntuple(tree, ak.zip(columns, depth_limit=1))
            return
        written = plan.without_counters(columns)
        if tree not in self._trees:
            types = {n: _branch_type(v) for n, v in written.items()}
            self._trees[tree] = self._file.mktree(tree, types, counter_name=plan.counter)
        self._trees[tree].extend(written)

    def _add_to_rntuple(self, name: str, records: ak.Array) -> None:
        if name not in self._trees:
            self._trees[name] = self._file.mkrntuple(name, records.layout.form)
        self._trees[name].extend(records)


@dataclass(frozen=True)
class TreeForm:
    """How a tree is written."""

    rntuple: bool = False
    counters: Mapping[str, str] = field(default_factory=dict)
    """column of lists -> the branch that counts them; those with one counter have equal lengths"""
    added: Mapping[str, str] = field(default_factory=dict)
    """beginning of the names of columns that are added -> their counter"""

    def counter(self, column: str) -> str:
        """The counter of a column of lists."""
        added = (c for start, c in self.added.items() if column.startswith(start))
        return self.counters.get(column) or next(added, f"n{column}")

    def without_counters(self, columns: Columns) -> Columns:
        """The tree writes its counters anew."""
        written = {self.counter(n) for n, v in columns.items() if _is_jagged(v)}
        return {n: v for n, v in columns.items() if n not in written}


def _is_jagged(values: Any) -> bool:
    return isinstance(values, ak.Array) and str(values.type.content).startswith("var")


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


def _branch_type(values: Any) -> Any:
    return values.type.content if isinstance(values, ak.Array) else values.dtype
