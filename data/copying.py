"""What of a ROOT file goes into a copy: every column of numbers of every tree, chunk by chunk.

A TTree is copied as a TTree of flat and jagged branches, those of split objects under their own
names (Jet.PT); an RNTuple as an RNTuple, with nested records, lists and text. What uproot cannot
write (references, maps, lists of lists in a TTree, objects that are no tree) is named.
"""

from collections.abc import Iterator
from typing import Any

import awkward as ak
import uproot

from triggerforge.data.readers.base import reading
from triggerforge.data.readers.leaves import top_fields
from triggerforge.data.readers.trees import (
    LAYOUT,
    Layout,
    described,
    find_tree,
    read_leaf,
    table_kinds,
)
from triggerforge.data.writers import Columns, RootSink, TreeForm

_FOLDER = "TDirectory"


class TreeCopy:
    """The columns of one tree that a copy holds; `left_out` names the others."""

    def __init__(self, layout: Layout, table: Any) -> None:
        self._layout = layout
        fields = top_fields(table) if layout.rntuple else []
        self._fields = {str(f.name) for f, keys in fields if _is_plain(table, f, keys)}
        self._leaves = [] if layout.rntuple else [v for v in layout.leaves.values() if v.depth < 2]
        held = self._fields | {leaf.name for leaf in self._leaves}
        every = [str(f.name) for f, _ in fields] if layout.rntuple else layout.columns
        self.left_out = [name for name in every if name not in held]

    def __bool__(self) -> bool:
        return bool(self._fields or self._leaves)

    def plan(self, added: str = "", like: str | None = None) -> TreeForm:
        """How the copy is written; columns that begin with `added` get the counter of `like`."""
        if self._layout.rntuple:
            return TreeForm(rntuple=True)
        counters = {leaf.name: self._counter(leaf.lengths) for leaf in self._leaves if leaf.lengths}
        beside = {added: counters[like]} if like in counters else {}
        return TreeForm(counters=counters, added=beside)

    def _counter(self, branch: str) -> str:
        """`branch`, or where that is the split object itself, a name for a counter of it."""
        return branch if branch in self._layout.leaves else f"n{branch}"

    def rows(self, size: int) -> Iterator[Columns]:
        """The columns, `size` entries at a time."""
        layout = self._layout
        with reading(layout.path, LAYOUT), uproot.open(layout.path) as file:
            table = find_tree(file, layout.path, layout.tree)
            for first in range(0, layout.entries, size):
                yield self._columns(table, first, min(first + size, layout.entries))

    def _columns(self, table: Any, first: int, last: int) -> Columns:
        if not self._layout.rntuple:
            return {
                leaf.name: read_leaf(self._layout, table, leaf, first, last)
                for leaf in self._leaves
            }
        part = {"entry_start": first, "entry_stop": last, "array_cache": None}
        fields = (f for f, _ in top_fields(table) if f.name in self._fields)
        return {str(field.name): field.array(**part) for field in fields}


def _is_plain(table: Any, field: Any, keys: list[str]) -> bool:
    """Whether uproot reads a field and can write the like of it."""
    try:
        form = table.field_form(field.field_id, keys)
    except Exception:  # noqa: BLE001  a field that uproot does not read
        return False
    return _has_plain_parts(form)


def _has_plain_parts(form: Any) -> bool:
    if isinstance(form, ak.forms.RecordForm):
        return not form.is_tuple and all(map(_has_plain_parts, form.contents))
    if isinstance(form, ak.forms.ListOffsetForm | ak.forms.RegularForm):
        return _has_plain_parts(form.content)
    return isinstance(form, ak.forms.NumpyForm)


def copied_rows(
    layout: Layout,
    size: int,
    sink: RootSink | None,
    left_out: list[str],
    added: str,
    like: str | None,
) -> Iterator[Columns]:
    """The rows of the tree that is scored, and then, in `sink`, all other trees of its file.

    Columns beginning with `added` share the counter of the column `like`. What the copy does not hold
    is added to `left_out`.
    """
    with reading(layout.path, LAYOUT), uproot.open(layout.path) as file:
        tree = TreeCopy(layout, file[layout.tree])
        left_out += tree.left_out
        others = {n: k for n, k in _contents(file).items() if n != layout.tree and k != _FOLDER}
        tables = table_kinds(file)
    if sink:
        sink.plan(layout.tree, tree.plan(added, like))
    yield from tree.rows(size)
    if sink:
        for name in others:
            if name in tables:
                _copy_tree(layout, name, sink, size, left_out)
            else:
                left_out.append(name)


def _contents(file: Any) -> dict[str, str]:
    return {str(key).split(";")[0]: str(kind) for key, kind in file.classnames().items()}


def _copy_tree(layout: Layout, name: str, sink: RootSink, size: int, left_out: list[str]) -> None:
    with reading(layout.path, LAYOUT), uproot.open(layout.path) as file:
        other = described(file, layout.path, name)
        tree = TreeCopy(other, file[name])
    if not (tree and other.entries):  # nothing of it can be written
        left_out.append(name)
        return
    left_out += [f"{name}/{column}" for column in tree.left_out]
    sink.plan(name, tree.plan())
    for columns in tree.rows(size):
        sink.add_to(name, columns)
