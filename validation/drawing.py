"""Random columns and random expressions of them, well-typed and not."""

import random
from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np

from triggerforge.validation.language import FUNCTIONS, Column, Kind

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
TYPES = ("bool", *_INTEGERS, "float16", "float32", "float64")
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.75, 0.1, 1e-3, 7.0, 1e6, -1e9, 2.0**53, 2.0**60)
_EXTREMES = (1e-40, -5e-324, 1e300, 3e38, float("inf"), -float("inf"), float("nan"))
_WHOLE = (0, 1, -1, 2, 3, -7, 10, 100, 255, 2**31, 2**53, 2**53 + 1, 2**60, 2**60 + 1, -(2**62))
_WRITTEN = ("0", "1", "2", "3", "-1", "-2", "7", "0.5", "1e3", "2.0", "True", "False", "4")
_LARGE = ("9007199254740993", "1152921504606846976", "18446744073709551615", "64", "1e308", "65")
_BINARY = ("+", "-", "*", "/", "//", "%", "**")
_COMPARE = ("<", "<=", ">", ">=", "==", "!=")
_REDUCE = ("sum", "count", "any", "all", "min", "max", "first")


def draw_number(rng: random.Random, dtype: str) -> bool | int | float:
    """A number that a column of that type can hold; the ends of its range are frequent."""
    if dtype == "bool":
        return rng.random() < 0.5
    if dtype.startswith("float"):
        choices = _FLOATS if rng.random() < 0.7 else _EXTREMES
        value = rng.choice(choices) if rng.random() < 0.6 else rng.uniform(-20, 20)
        with np.errstate(over="ignore"):
            return float(np.dtype(dtype).type(value))
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if rng.random() < 0.5:
        return rng.randint(max(low, -9), min(high, 9))
    if rng.random() < 0.3:
        return rng.choice((low, high, low + 1, high - 1))
    return max(low, min(high, rng.choice(_WHOLE) + rng.randint(-1, 1)))


def _kind(dtype: str) -> Kind:
    if dtype == "bool":
        return "boolean"
    return "float" if dtype.startswith("float") else "integer"


def draw_columns(rng: random.Random) -> tuple[dict[str, Any], dict[str, Column]]:
    """One column of every type and one list of every type, as arrays and as Python numbers.

    All lists of an event are of one length, but those of `odd`.
    """
    rows = rng.choice((0, 1, 1, 2, 3, 5))
    lengths = [rng.choice((0, 1, 2, 4)) for _ in range(rows)]
    arrays: dict[str, Any] = {}
    columns: dict[str, Column] = {}
    for dtype in TYPES:
        numbers = [draw_number(rng, dtype) for _ in range(rows)]
        flat_type = np.dtype(dtype)  # flat columns come in either byte order
        arrays[dtype] = np.array(
            numbers, flat_type.newbyteorder(">") if rng.random() < 0.25 else flat_type
        )
        columns[dtype] = Column(_kind(dtype), False, numbers)
    for name, dtype in [*((f"list.{t}", t) for t in TYPES), ("odd", "int16")]:
        counts = [rng.randint(0, 2) for _ in range(rows)] if name == "odd" else lengths
        lists = [[draw_number(rng, dtype) for _ in range(count)] for count in counts]
        flat = np.array([number for one in lists for number in one], dtype)
        arrays[name] = ak.unflatten(flat, np.array(counts, np.int64))
        columns[name] = Column(_kind(dtype), True, lists)
    return arrays, columns


class Draw:
    """Draws expressions of the columns of `draw_columns`.

    Operands mostly have the kind that an operation takes; one in twelve has any kind, and one pair of
    parentheses in twelve is left out, so that refusals are drawn as well.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def text(self, depth: int = 3) -> str:
        """An expression of any kind."""
        return self._any(depth)

    def _any(self, depth: int) -> str:
        makers = (self._number, self._number, self._truth, self._integer)
        return self._rng.choice(makers)(depth)

    def _grouped(self, text: str) -> str:
        return text if self._rng.random() < 1 / 12 else f"({text})"

    def _operand(self, make: Callable[[int], str], depth: int) -> str:
        if self._rng.random() < 1 / 12:
            make = self._any
        return self._grouped(make(depth - 1))

    def _column(self, kinds: tuple[Kind, ...]) -> str:
        rng = self._rng
        if rng.random() < 0.01:
            return "odd"
        dtype = rng.choice([t for t in TYPES if _kind(t) in kinds])
        return f"list.{dtype}" if rng.random() < 0.35 else dtype

    def _number(self, depth: int) -> str:
        rng = self._rng
        if depth <= 0 or rng.random() < 0.1:
            if rng.random() < 0.3:
                return rng.choice(_WRITTEN if rng.random() < 0.9 else _LARGE)
            return self._column(("boolean", "integer", "float"))
        kind = rng.random()
        if kind < 0.5:
            a, b = (self._operand(self._number, depth) for _ in range(2))
            return f"{a} {rng.choice(_BINARY)} {b}"
        if kind < 0.6:
            return f"{rng.choice('+-')}{self._operand(self._number, depth)}"
        if kind < 0.75:
            return f"{rng.choice(_REDUCE)}({self._list(depth - 1)})"
        return self._call(depth)

    def _call(self, depth: int) -> str:
        name = self._rng.choice([n for n in FUNCTIONS if n not in _REDUCE])
        first = self._truth if name == "where" else self._number
        rest = [self._operand(self._number, depth) for _ in range(FUNCTIONS[name] - 1)]
        if self._rng.random() < 0.01:
            rest = [*rest, "1"]
        return f"{name}({', '.join([self._operand(first, depth), *rest])})"

    def _list(self, depth: int) -> str:
        rng = self._rng
        if rng.random() < 1 / 12:
            return self._number(depth)
        column = f"list.{rng.choice(TYPES)}"
        if depth <= 0 or rng.random() < 0.5:
            return column
        other = self._operand(self._number, depth)
        return f"{column} {rng.choice((*_BINARY[:3], *_COMPARE))} {other}"

    def _integer(self, depth: int) -> str:
        rng = self._rng
        if depth <= 0 or rng.random() < 0.2:
            return self._column(("integer",)) if rng.random() < 0.7 else rng.choice(_WRITTEN[:5])
        if rng.random() < 0.2:
            return f"~{self._operand(self._integer, depth)}"
        a, b = (self._operand(self._integer, depth) for _ in range(2))
        return f"{a} {rng.choice(('&', '|', '^', '+', '-', '*', '//', '%'))} {b}"

    def _truth(self, depth: int) -> str:
        rng = self._rng
        if depth <= 0 or rng.random() < 0.1:
            return self._column(("boolean",))
        kind = rng.random()
        if kind < 0.45:
            terms = [self._operand(self._number, depth) for _ in range(rng.choice((2, 2, 2, 3)))]
            return terms[0] + "".join(f" {rng.choice(_COMPARE)} {term}" for term in terms[1:])
        if kind < 0.6:
            word = rng.choice((" and ", " or "))
            terms = [self._operand(self._any, depth) for _ in range(rng.choice((2, 2, 3)))]
            return word.join(terms)
        if kind < 0.7:
            return f"not {self._operand(self._any, depth)}"
        if kind < 0.8:
            return f"~{self._operand(self._truth, depth)}"
        if kind < 0.85:
            return f"isfinite({self._operand(self._number, depth)})"
        a, b = (self._operand(self._truth, depth) for _ in range(2))
        if kind < 0.9:
            return f"where({self._operand(self._any, depth)}, {a}, {b})"
        return f"{a} {rng.choice('&|^')} {b}"
