"""Expressions of a configuration: arithmetic, comparisons and a few functions over named columns.

An expression is parsed to a tree of which only listed nodes are evaluated: no attribute is looked
up, no subscript taken, nothing but the functions below called, so that a configuration file cannot
run code.
"""

import ast
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import awkward as ak
import numpy as np

from triggerforge.errors import DataError, did_you_mean

_MAX_CHARACTERS = 4000

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: lambda a, b: np.power(a * 1.0, b * 1.0),  # floats: a tower of powers is inf, not hours
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: lambda a: a,
    ast.Invert: np.logical_not,
    ast.Not: np.logical_not,
}


def _reducer(reduce: Callable[..., Any]) -> Callable[[Any], Any]:
    """`reduce` over the innermost list of a jagged column; never over the events."""

    def over_list(values: Any) -> Any:
        if not isinstance(values, ak.Array) or values.ndim < 2:
            raise DataError("sum, count, any, all, min, max and first need a list for each event")
        return reduce(values)

    return over_list


def _filled(values: Any) -> Any:
    return ak.fill_none(values, np.nan)


def _first(values: Any) -> Any:
    picked = values[..., :1]
    return _filled(ak.max(picked, axis=-1))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "log1p": np.log1p,
    "log10": np.log10,
    "exp": np.exp,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arcsinh": np.arcsinh,
    "arctan2": np.arctan2,
    "hypot": np.hypot,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "isfinite": np.isfinite,
    "where": lambda condition, a, b: (
        ak.where(condition, a, b)
        if any(isinstance(v, ak.Array) for v in (condition, a, b))
        else np.where(condition, a, b)
    ),
    "sum": _reducer(lambda v: ak.sum(v, axis=-1)),
    "count": _reducer(lambda v: ak.num(v, axis=-1)),
    "any": _reducer(lambda v: ak.any(v, axis=-1)),
    "all": _reducer(lambda v: ak.all(v, axis=-1)),
    "min": _reducer(lambda v: _filled(ak.min(v, axis=-1))),
    "max": _reducer(lambda v: _filled(ak.max(v, axis=-1))),
    "first": _reducer(_first),
}


def _column_name(node: ast.AST) -> str | None:
    """`a` or `a.b`: branches of some trees have dots in their names; nothing is looked up in `a`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            inner = _column_name(value)
            return None if inner is None else f"{inner}.{attr}"
    return None


class Expression:
    """A parsed expression.

    `symbols` are the names of the columns that it needs. Raises DataError if the text does not
    parse, or holds anything but numbers, names, operators and the functions of FUNCTIONS.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > _MAX_CHARACTERS:
            raise DataError(f"an expression of {len(text)} characters; at most {_MAX_CHARACTERS}")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            self.symbols: frozenset[str] = frozenset(self._check(self._tree))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise DataError(f"{text[:200]!r} is no expression: {error}") from error

    def evaluate(self, columns: Mapping[str, Any]) -> Any:
        """The value over `columns`, which holds every one of `symbols` (numpy or awkward arrays).

        Raises DataError if the columns do not fit together.
        """
        try:
            with np.errstate(all="ignore"):  # NaN and inf are counted where the inputs are checked
                return self._value(self._tree, columns)
        except DataError as error:
            raise DataError(f"{self.text!r}: {error}") from error
        except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise DataError(f"{self.text!r} cannot be evaluated: {reason}") from error

    def _check(self, node: ast.AST) -> set[str]:
        match node:
            case ast.Constant(value=value) if isinstance(value, bool | int | float):
                if abs(value) > 2**53:
                    raise DataError(f"{self.text!r}: the number {value} is beyond ±2^53")
                return set()
            case ast.Name() | ast.Attribute() if (name := _column_name(node)) is not None:
                return {name}
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return self._check(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._check(left) | self._check(right)
            case ast.BoolOp(values=values):
                return set().union(*map(self._check, values))
            case ast.Compare(left=left, ops=ops, comparators=rest) if all(
                type(op) in _COMPARE for op in ops
            ):
                return self._check(left).union(*map(self._check, rest))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                if name not in FUNCTIONS:
                    hint = did_you_mean(name, FUNCTIONS)
                    raise DataError(f"{self.text!r}: no function {name!r}; {hint}")
                return set().union(*map(self._check, args))
        raise DataError(
            f"{self.text!r}: {ast.unparse(node)!r} ({type(node).__name__}) is not allowed; use "
            f"numbers, columns, + - * / // % **, comparisons, and/or/not, & | ~ and the functions "
            f"{', '.join(sorted(FUNCTIONS))}"
        )

    def _value(self, node: ast.AST, columns: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name() | ast.Attribute():
                return columns[_column_name(node) or ""]
            case ast.UnaryOp(op=op, operand=operand):
                return _UNARY[type(op)](self._value(operand, columns))
            case ast.BinOp(left=left, op=op, right=right):
                return _BINARY[type(op)](self._value(left, columns), self._value(right, columns))
            case ast.BoolOp(op=junction, values=values):
                join = np.logical_and if isinstance(junction, ast.And) else np.logical_or
                return functools.reduce(join, [self._value(v, columns) for v in values])
            case ast.Compare(left=left, ops=ops, comparators=rest):
                terms = [self._value(term, columns) for term in (left, *rest)]
                steps = zip(ops, terms, terms[1:], strict=False)
                results = [_COMPARE[type(step)](a, b) for step, a, b in steps]
                return functools.reduce(np.logical_and, results)
            case ast.Call(func=ast.Name(id=name), args=args):
                return FUNCTIONS[name](*(self._value(arg, columns) for arg in args))
        raise AssertionError(f"{type(node).__name__} passed the check")  # pragma: no cover
