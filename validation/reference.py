"""The meaning of expressions in Python numbers: one event, one list element at a time.

docs/expressions.md in the plainest code that obeys it. Nothing of triggerforge.data is used, and no
array: bool, int and float, the operators of Python, and `math` for the elementary functions. It is
slow, and made to be read.
"""

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triggerforge.validation.language import (
    BITS,
    COMPARISONS,
    DIVISIONS,
    ELEMENTARY,
    OF_LISTS,
    SUMS,
    Column,
    Kind,
    Number,
    Refused,
    kind_of,
    name_of,
    operands_of,
    parse,
    written,
)

Value = Number | list[Number]
Elementary = Callable[[str, tuple[float, ...]], float]


class Event:
    """Evaluates nodes for one event.

    `elementary` gives the value of an elementary function of floats, by name; `power` is one.
    """

    def __init__(
        self, columns: Mapping[str, Column], row: int | None, elementary: Elementary
    ) -> None:
        self._columns, self._row, self._elementary = columns, row, elementary

    def value(self, node: ast.expr) -> Value:
        """The number, or the list of numbers, of this event; raises Refused."""
        if (number := written(node)) is not None:
            return number
        if isinstance(node, ast.Constant):
            return bool(node.value)
        if (name := name_of(node)) is not None:
            assert self._row is not None
            found: Value = self._columns[name].rows[self._row]
            return found
        operands = [self.value(operand) for operand in operands_of(node)]
        kind, _ = kind_of(node, self._columns)
        match node, operands:
            case ast.Call(func=ast.Name(id=called)), [list() as values] if called in OF_LISTS:
                reduced = _of_list(called, values)
                return float(reduced) if kind == "float" else reduced
        lengths = {len(operand) for operand in operands if isinstance(operand, list)}
        if len(lengths) > 1:
            raise Refused("lengths")
        if not lengths:
            return self._number(node, kind, operands)
        spread = [o if isinstance(o, list) else [o] * max(lengths) for o in operands]
        return [self._number(node, kind, each) for each in zip(*spread, strict=True)]

    def _number(self, node: ast.expr, kind: Kind, operands: Sequence[Any]) -> Number:
        match node:
            case ast.UnaryOp(op=op):
                return _unary(op, operands[0])
            case ast.BinOp(op=op):
                return self._binary(node, kind, *operands)
            case ast.BoolOp(op=junction):
                truths = [operand != 0 for operand in operands]
                return all(truths) if isinstance(junction, ast.And) else any(truths)
            case ast.Compare(ops=ops):
                steps = zip(ops, operands, operands[1:], strict=False)
                return all(COMPARISONS[type(op)](a, b) for op, a, b in steps)
            case ast.Call(func=ast.Name(id=name)) if name in ELEMENTARY:
                return self._elementary(name, tuple(map(exact_float, operands)))
            case ast.Call(func=ast.Name(id=name)):
                return _function(name, kind, *operands)
        raise AssertionError(f"{type(node).__name__} passed the check")

    def _binary(self, node: ast.BinOp, kind: Kind, a: Number, b: Number) -> Number:
        op = type(node.op)
        floats = isinstance(a, float) or isinstance(b, float)
        if op in BITS:
            return BITS[op](a, b) if kind == "boolean" else within(BITS[op](a, b))
        if op in SUMS:
            if floats:
                return float(SUMS[op](exact_float(a), exact_float(b)))
            return within(SUMS[op](int(a), int(b)))
        if op is ast.Pow:
            if kind == "integer":
                return _whole_power(int(a), int(b))
            return self._elementary("power", (exact_float(a), exact_float(b)))
        if op is ast.Div or floats:
            return _float_division(op, exact_float(a), exact_float(b))
        if b == 0:
            return math.nan
        result = DIVISIONS[op](int(a), int(b))
        return within(result) if kind == "integer" else exact_float(result)


def within(value: int) -> int:
    """`value`; raises Refused beyond int64."""
    if not -(2**63) <= value < 2**63:
        raise Refused("overflow")
    return value


def exact_float(value: Number) -> float:
    """The same number as a float; raises Refused if there is none."""
    result = float(value)
    if isinstance(value, int) and int(result) != value:
        raise Refused("inexact")
    return result


def _unary(op: ast.unaryop, a: Number) -> Number:
    if isinstance(op, ast.Not):
        return a == 0
    if isinstance(op, ast.Invert):
        return not a if isinstance(a, bool) else within(~int(a))
    signed = -a if isinstance(op, ast.USub) else +a
    return signed if isinstance(signed, float) else within(signed)


def _float_division(op: type[ast.operator], a: float, b: float) -> float:
    if b == 0:
        return math.nan
    if op is ast.Div:
        return a / b
    return a // b if op is ast.FloorDiv else a % b


def _whole_power(a: int, n: int) -> int:
    if abs(a) > 1 and n > 64:
        raise Refused("overflow")  # and Python need not write down all its digits
    return within(a ** min(n, 64 + n % 2))


def _function(name: str, kind: Kind, *operands: Any) -> Number:
    a = operands[0]
    if name == "float":
        return float(a)
    if name == "isfinite":
        return math.isfinite(a)
    if name == "abs":
        return abs(a) if kind == "float" else within(abs(int(a)))
    if name == "where":
        chosen = operands[1:]
        if kind == "float":
            chosen = tuple(map(exact_float, chosen))
        result = chosen[0] if a != 0 else chosen[1]
        return within(int(result)) if kind == "integer" else result
    if kind == "integer":
        return within(int(min(operands) if name == "minimum" else max(operands)))
    return _extreme(name == "maximum", [exact_float(o) for o in operands])


def _extreme(largest: bool, values: Sequence[float]) -> float:
    if any(math.isnan(v) for v in values):
        return math.nan
    return (max(values) if largest else min(values)) + 0.0


def _of_list(name: str, values: Sequence[Number]) -> Number:
    match name:
        case "count":
            return len(values)
        case "any":
            return any(v != 0 for v in values)
        case "all":
            return all(v != 0 for v in values)
        case "sum" if any(isinstance(v, float) for v in values):
            total = 0.0
            for value in values:
                total += value
            return total
        case "sum":
            return within(sum(map(int, values)))
    if not values:
        return math.nan
    if name == "first":
        return exact_float(values[0])
    if any(isinstance(v, float) for v in values):
        return _extreme(name == "max", [float(v) for v in values])
    return exact_float(max(values) if name == "max" else min(values))


_AT_POLE = {"log": -math.inf, "log1p": -math.inf, "log10": -math.inf}
_NAMES = {"arctan2": "atan2", "arcsinh": "asinh", "power": "pow"}


def c_math(name: str, arguments: tuple[float, ...]) -> float:
    """An elementary function by `math`, and by C99 Annex F where `math` raises."""
    a = arguments[0]
    if any(map(math.isnan, arguments)) and name not in ("power", "hypot"):
        return math.nan
    try:
        result: float = getattr(math, _NAMES.get(name, name))(*arguments)
        return result
    except OverflowError:
        odd = name == "sinh" or (name == "power" and arguments[1] % 2 == 1)
        return -math.inf if a < 0 and odd else math.inf
    except ValueError:
        if name == "power" and a == 0:
            return math.copysign(math.inf, a) if arguments[1] % 2 == 1 else math.inf
        return _AT_POLE.get(name, math.nan) if a in (0, -1) and _is_pole(name, a) else math.nan


def _is_pole(name: str, a: float) -> bool:
    return a == (-1 if name == "log1p" else 0)


def evaluate(text: str, columns: Mapping[str, Column], elementary: Elementary = c_math) -> Any:
    """The value of `text`: a number if it names no column, else one value for each event.

    Raises Refused.
    """
    tree = parse(text)
    kind_of(tree, columns)
    names = [name for node in ast.walk(tree) if (name := name_of(node)) in columns]
    if not names:
        return Event(columns, None, elementary).value(tree)
    _evaluate_constants(tree, columns, elementary)
    rows = range(len(columns[names[0] or ""].rows))
    return [Event(columns, row, elementary).value(tree) for row in rows]


def evaluate_event(
    text: str, columns: Mapping[str, Column], row: int, elementary: Elementary = c_math
) -> Value:
    """The value of `text` for one event, whatever the others are; raises Refused."""
    tree = parse(text)
    kind_of(tree, columns)
    return Event(columns, row, elementary).value(tree)


def _evaluate_constants(
    node: ast.expr, columns: Mapping[str, Column], elementary: Elementary
) -> None:
    """Parts without columns have to have a value even where there is no event."""
    if not any(name_of(inner) in columns for inner in ast.walk(node)):
        Event(columns, None, elementary).value(node)
        return
    for operand in operands_of(node):
        _evaluate_constants(operand, columns, elementary)
