"""The columns of numbers in a TTree or RNTuple: how deep their lists are, and how to pick them."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
import uproot
from uproot.interpretation.numerical import TruncatedNumerical

MAX_DEPTH = 2
_NUMBERS = "fiub"

Shape = tuple[int, str]
"""depth of the lists, type of a number"""


@dataclass(frozen=True)
class Leaf:
    """A column of numbers of a tree."""

    name: str
    """as expressions spell it: Jet_pt, Jet.PT"""
    key: str
    """path of its branch or field in the tree"""
    depth: int
    """0: one number an entry; 1: a list of numbers; 2: a list of lists"""
    type: str
    """of a number: float32, int64, bool, …"""
    bytes: float
    """uncompressed, of all entries, as the file says"""
    at_once: float = 0.0
    """bytes of its largest cluster, which an RNTuple reads as a whole"""
    lengths: str | None = None
    """columns with the same word have lists of the same lengths in every entry; None: not said"""
    inside: tuple[str, ...] = ()
    """names of the fields on the way to it in what is read under its key"""

    def pick(self, read: Any) -> Any:
        """(entries,) numbers or lists, as the file has them, from what is read under its key."""
        for name in self.inside:
            read = read[name]
        return read


def ttree_leaves(tree: Any) -> tuple[dict[str, Leaf], dict[str, str]]:
    """Those of a TTree, and name -> type of the branches that hold no numbers."""
    branches = [(str(key), branch) for key, branch in tree.iteritems(recursive=True)]
    common = Counter(_branch_name(branch) for _, branch in branches)
    leaves, others = {}, {}
    for key, branch in branches:
        name = _branch_name(branch)
        name = name if common[name] == 1 else key.replace("/", ".")
        if len(branch.branches):
            continue  # its parts come by themselves
        found = list(_branch_shapes(branch.interpretation))
        for inside, (depth, kind) in found:
            full = ".".join((name, *inside))
            leaves[full] = Leaf(
                name=full,
                key=key,
                depth=depth,
                type=kind,
                bytes=float(branch.uncompressed_bytes),
                lengths=_counter(branch) if depth else None,
                inside=inside,
            )
        if not found:
            others[name] = _described(branch)
    return leaves, others


def _branch_name(branch: Any) -> str:
    return str(branch.name).split("[")[0].rstrip(".")


def _counter(branch: Any) -> str | None:
    counter = branch.count_branch
    return None if counter is None else str(counter.name)


def _described(branch: Any) -> str:
    if isinstance(branch.interpretation, uproot.AsStrings):
        return "text"
    try:
        return f"values of type {branch.typename}"
    except Exception:  # noqa: BLE001  uproot has no name for some records of records
        return "records"


def _branch_shapes(kind: Any) -> Iterator[tuple[tuple[str, ...], Shape]]:
    """Names within the branch, and depth and type of the numbers there."""
    inner = kind.content if isinstance(kind, uproot.AsJagged) else kind
    around = int(isinstance(kind, uproot.AsJagged))
    for inside, (depth, number) in _inner_shapes(inner):
        if depth + around <= MAX_DEPTH:
            yield inside, (depth + around, number)


def _inner_shapes(kind: Any) -> Iterator[tuple[tuple[str, ...], Shape]]:
    if isinstance(kind, uproot.AsDtype) and kind.to_dtype.base.fields:
        record = kind.to_dtype  # a branch of several leaves, or an object's members one by one
        for name in record.base.names or ():
            shape = _array_shape(record.base[name])
            if shape is not None and "@" not in name:
                yield tuple(name.split("/")), (shape[0] + len(record.shape), shape[1])
    elif (shape := _shape(kind)) is not None:
        yield (), shape


def _shape(kind: Any) -> Shape | None:
    if isinstance(kind, TruncatedNumerical):  # Double32_t, Float16_t
        return len(kind.to_dims), kind.to_dtype.base.name
    if isinstance(kind, uproot.AsDtype):
        return _array_shape(kind.to_dtype)
    if isinstance(kind, uproot.AsObjects):
        return _container_shape(kind.model)
    return None


def _array_shape(kind: np.dtype[Any]) -> Shape | None:
    return (len(kind.shape), kind.base.name) if kind.base.kind in _NUMBERS else None


def _container_shape(model: Any) -> Shape | None:
    """Of std::vector within std::vector."""
    if isinstance(model, np.dtype):
        return _array_shape(model)
    if isinstance(model, uproot.containers.AsVector):
        inner = _container_shape(model.values)
        return inner and (inner[0] + 1, inner[1])
    return None


def rntuple_leaves(table: Any) -> tuple[dict[str, Leaf], dict[str, str]]:
    """Those of an RNTuple, and name -> type of the fields that hold no numbers."""
    elements = _elements(table)
    leaves: dict[str, Leaf] = {}
    others: dict[str, str] = {}
    for field, keys in top_fields(table):
        try:
            form = table.field_form(field.field_id, keys)
        except Exception:  # noqa: BLE001  a field that uproot does not read; others may do
            others[field.name] = f"values of type {field.typename}"
            continue
        before = len(leaves)
        for leaf in _form_leaves(form, _Way((field.name,)), elements):
            leaves[leaf.name] = leaf
        if len(leaves) == before:
            text = "std::string" in field.typename
            others[field.name] = "text" if text else f"values of type {field.typename or 'record'}"
    return leaves, others


def top_fields(table: Any) -> list[tuple[Any, list[str]]]:
    """The fields of an RNTuple that are in no other, each with the paths of all in it.

    Left out are those that others show under better names (_collection0 of converted NanoAOD). Paths
    are taken from one list: uproot's own way goes over all fields for every field.
    """
    inside: dict[str, list[str]] = {}
    for path in (field.path for field in table.all_fields if field.path):
        inside.setdefault(path.split(".")[0], []).append(path)
    records = table.field_records
    shown = {r.source_field_id for r in records if r.source_field_id is not None}
    hidden = {str(table.all_fields[i].path).split(".")[0] for i in shown}
    fields = [(f, str(f.name)) for f in table.fields if f.name not in hidden]
    return [
        (f, [p for p in inside[n.split(".")[0]] if p == n or p.startswith(f"{n}.")])
        for f, n in fields
    ]


_Bytes = tuple[float, float]
"""of a column in all clusters, and in its largest"""


def _elements(table: Any) -> Callable[[Any], _Bytes]:
    """A function from a form to the bytes of its column, at most 8 an element, as the file says."""
    total: Counter[int] = Counter()
    largest: Counter[int] = Counter()
    for cluster in table.page_link_list:
        for column, pages in enumerate(cluster):
            count = sum(int(page.num_elements) for page in pages.pages)
            total[column] += count
            largest[column] = max(largest[column], count)

    def bytes_of(form: Any) -> _Bytes:
        column = int(str(form.form_key).split("-")[1])
        return 8.0 * total[column], 8.0 * largest[column]

    return bytes_of


@dataclass(frozen=True)
class _Way:
    """How a part of a field is reached."""

    names: tuple[str, ...]
    depth: int = 0
    """lists around it"""
    lengths: str | None = None
    """the outermost list's column of offsets"""
    bytes: _Bytes = (0.0, 0.0)
    """of all their offsets"""


def _form_leaves(form: Any, way: _Way, bytes_of: Callable[[Any], _Bytes]) -> Iterator[Leaf]:
    """Leaves of a field's form."""
    if isinstance(form, ak.forms.NumpyForm):
        kind = np.dtype(form.primitive)
        if kind.kind in _NUMBERS and way.depth <= MAX_DEPTH:
            total, largest = _sum(way.bytes, bytes_of(form))
            name = ".".join(way.names)
            yield Leaf(name, name, way.depth, kind.name, total, largest, way.lengths)
    elif isinstance(form, ak.forms.RecordForm) and not form.is_tuple:
        for name, content in zip(form.fields, form.contents, strict=True):
            yield from _form_leaves(content, replace(way, names=(*way.names, name)), bytes_of)
    elif isinstance(form, ak.forms.ListOffsetForm) and form.parameter("__array__") is None:
        lengths = way.lengths if way.depth else str(form.form_key)
        offsets = _sum(way.bytes, bytes_of(form))
        inner = replace(way, depth=way.depth + 1, lengths=lengths, bytes=offsets)
        yield from _form_leaves(form.content, inner, bytes_of)
    elif isinstance(form, ak.forms.RegularForm):
        yield from _form_leaves(form.content, replace(way, depth=way.depth + 1), bytes_of)


def _sum(one: _Bytes, other: _Bytes) -> _Bytes:
    return one[0] + other[0], one[1] + other[1]
