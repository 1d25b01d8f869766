"""Expressions of a configuration: arithmetic, comparisons and a few functions over named columns.

Every number that an expression gives is exact by the meaning that docs/expressions.md writes down,
or it is refused; validation/reference.py holds this evaluator to that meaning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.language.arithmetic import Numbers, as_float, canonical
from triggerforge.data.language.grammar import Call, Column, Constant, Node, parse
from triggerforge.data.language.lists import Counts
from triggerforge.data.language.operations import Kind
from triggerforge.data.language.refusals import ExpressionError, Refusal

_KINDS: dict[str, Kind] = {"b": "boolean", "f": "float"}


@dataclass(frozen=True)
class _Values:
    """Numbers of n events: flat, (1,) for a constant, (n,), or all elements of n lists."""

    flat: Numbers
    counts: Counts | None = None
    """(n,) lengths of the lists"""
    constant: bool = False
    column: NDArray[Any] | None = None
    """of a column: `flat` in the column's own type, as which it is handed on by itself"""

    @property
    def kind(self) -> Kind:
        return _KINDS.get(self.flat.dtype.kind, "integer")

    def row(self, index: int | None) -> int | None:
        """The event that the number at `index` belongs to."""
        if index is None or self.constant or self.counts is None:
            return None if self.constant else index
        return int(np.searchsorted(np.cumsum(self.counts), index, side="right"))


class Expression:
    """A parsed expression.

    `symbols` are the names of the columns that it needs. Raises ExpressionError, a DataError, if
    the text is none of the language.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._tree = parse(text)
        self.symbols: frozenset[str] = frozenset(_names(self._tree))

    def evaluate(self, columns: Mapping[str, Any], events: NDArray[np.int64] | int = 0) -> Any:
        """The value over `columns`, which holds every one of `symbols`.

        Columns are numpy or awkward arrays of n rows: (n,), or a list of numbers in each row. Gives
        a Python number if no column is named, else an array (n,) of bool, int64 or float64, or an
        awkward array of lists of them; a column by itself keeps its type. `events` are the numbers
        of the rows in error messages, or that of the first one.

        Raises ExpressionError, a DataError, if kinds or lengths of the columns do not fit together,
        or if the exact result for an event is beyond what it can be held in.
        """
        try:
            inputs = _inputs(self.symbols, columns)
            _kind(self._tree, inputs)
            with np.errstate(all="ignore"):  # NaN and inf are counted where the inputs are checked
                values = _value(self._tree, inputs)
        except Refusal as refusal:
            raise self._error(refusal, events) from refusal
        if values.column is not None:
            values = replace(values, flat=values.column)
        return _handed_on(values)

    def floats(
        self, columns: Mapping[str, Any], events: NDArray[np.int64] | int = 0
    ) -> NDArray[np.float64]:
        """`evaluate` as float64, a number or (n,), for what goes on as floats.

        Raises ExpressionError where a float is not the number that the expression gives.
        """
        found = self.evaluate(columns, events)
        if isinstance(found, ak.Array):
            refusal = Refusal("lists", "gives a list for each event; a number is due")
            raise self._error(refusal, events)
        try:
            flat = as_float(canonical(np.atleast_1d(found)))
        except Refusal as refusal:
            raise self._error(refusal, events) from refusal
        return flat if isinstance(found, np.ndarray) else flat[0]

    def _error(self, refusal: Refusal, events: NDArray[np.int64] | int) -> ExpressionError:
        row = number = refusal.index
        if row is not None:
            number = events + row if isinstance(events, int) else int(events[row])
        return ExpressionError(self.text, str(refusal), refusal.reason, row, number)


def _names(node: Node) -> Iterator[str]:
    if isinstance(node, Column):
        yield node.name
    elif isinstance(node, Call):
        for operand in node.operands:
            yield from _names(operand)


def _inputs(symbols: frozenset[str], columns: Mapping[str, Any]) -> dict[str, _Values]:
    inputs = {}
    sizes: dict[str, int] = {}
    for name in sorted(symbols):
        column = columns[name]
        try:
            inputs[name] = _read(column)
        except Refusal as refusal:
            raise Refusal(refusal.reason, f"{name!r} is {refusal}") from refusal
        sizes[name] = len(column)
    if len(set(sizes.values())) > 1:
        raise Refusal("lengths", f"columns of different lengths: {sizes}")
    return inputs


def _read(column: Any) -> _Values:
    values = column if isinstance(column, ak.Array | np.ndarray) else np.asarray(column)
    if values.ndim not in (1, 2):
        kind = str(values.type) if isinstance(values, ak.Array) else f"of {values.ndim} dimensions"
        raise Refusal("lists", f"an array {kind}; numbers are due, or lists of them")
    if values.ndim == 1:
        return _column(_unmasked(values), None)
    if isinstance(values, np.ndarray):
        counts = np.full(len(values), values.shape[1], np.int64)
        return _column(_unmasked(values.reshape(-1)), counts)
    counts = np.asarray(_unmasked(ak.num(values, axis=1)), np.int64)
    return _column(_unmasked(ak.flatten(values, axis=1)), counts)


def _column(flat: NDArray[Any], counts: Counts | None) -> _Values:
    return _Values(canonical(flat), counts, column=flat)


def _unmasked(flat: Any) -> NDArray[Any]:
    try:
        array = flat if isinstance(flat, np.ndarray) else ak.to_numpy(flat)
    except (TypeError, ValueError) as error:  # records, unions: no numbers
        raise Refusal("kind", f"a column of {flat.type.content}; numbers are due") from error
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.getmaskarray(array).any():
            raise Refusal("kind", "a column with missing values; numbers are due")
        array = array.data
    return np.asarray(array)


def _kind(node: Node, inputs: Mapping[str, _Values]) -> tuple[Kind, bool]:
    """The kind of a node's numbers, and whether they come in lists."""
    match node:
        case Column(name=name):
            return inputs[name].kind, inputs[name].counts is not None
        case Constant(value=value):
            return _constant(value).kind, False
        case Call():
            found = [_kind(operand, inputs) for operand in node.operands]
            lists = any(listed for _, listed in found)
            reduces = node.operation.reduces
            if reduces and not lists:
                raise Refusal("lists", f"{node.text!r} needs a list for each event")
            try:
                return node.operation.kind(*(kind for kind, _ in found)), lists and not reduces
            except Refusal as refusal:
                raise Refusal(refusal.reason, f"{node.text!r} has {refusal}") from refusal


def _value(node: Node, inputs: Mapping[str, _Values]) -> _Values:
    match node:
        case Column(name=name):
            return inputs[name]
        case Constant(value=value):
            return _constant(value)
        case Call():
            operands = [_value(operand, inputs) for operand in node.operands]
            if node.operation.reduces:
                flat = node.operation.compute(operands[0].flat, operands[0].counts)
                return _Values(flat)
            arrays, shape = _aligned(operands)
            try:
                flat = node.operation.compute(*arrays)
            except Refusal as refusal:
                raise Refusal(refusal.reason, str(refusal), shape.row(refusal.index)) from refusal
            return _Values(flat, shape.counts, shape.constant)


def _constant(value: bool | float) -> _Values:
    array = np.array([value])
    return _Values(canonical(array), constant=True)


def _aligned(values: list[_Values]) -> tuple[list[Numbers], _Values]:
    """Arrays of one length, and a value of the result's shape.

    Numbers of an event meet each element of its list. Raises Refusal where two lists of an event
    have different lengths.
    """
    listed = [v for v in values if v.counts is not None]
    for other in listed[1:]:
        _require_lengths(listed[0], other)
    varying = [v for v in values if not v.constant]
    shape = [*listed, *varying, *values][0]
    return [_spread(v, shape) for v in values], shape


def _require_lengths(one: _Values, other: _Values) -> None:
    assert one.counts is not None and other.counts is not None
    differ = np.flatnonzero(one.counts != other.counts)
    if differ.size:
        row = int(differ[0])
        lengths = f"{one.counts[row]} and {other.counts[row]}"
        raise Refusal("lengths", f"lists of {lengths} numbers", row)


def _spread(values: _Values, shape: _Values) -> Numbers:
    if values.constant:
        return np.broadcast_to(values.flat, shape.flat.shape)
    if shape.counts is not None and values.counts is None:
        return np.repeat(values.flat, shape.counts)
    return values.flat


def _handed_on(values: _Values) -> Any:
    if values.constant:
        return values.flat[0].item() if hasattr(values.flat[0], "item") else values.flat[0]
    if values.counts is None:
        return values.flat
    return ak.unflatten(values.flat, values.counts)
