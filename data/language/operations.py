"""Operators and functions of expressions: the kind of the result, and how it is computed."""

import ast
import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from triggerforge.data.language import arithmetic, lists
from triggerforge.data.language.arithmetic import Numbers, as_float, is_float, truth
from triggerforge.data.language.refusals import Refusal

Kind = Literal["boolean", "integer", "float"]
KindRule = Callable[..., Kind]


@dataclass(frozen=True)
class Operation:
    """An operator or a function.

    `kind` gives the kind of the result from those of the operands, or raises Refusal; `compute` gets
    arrays that fit each other, or where it `reduces` the flat numbers of lists and their lengths.
    """

    kind: KindRule
    compute: Callable[..., Numbers]
    operands: int
    reduces: bool = False


def _always(kind: Kind) -> KindRule:
    return lambda *kinds: kind


_BOOLEAN, _INTEGER, _FLOAT = _always("boolean"), _always("integer"), _always("float")


def _arithmetic(*kinds: Kind) -> Kind:
    return "float" if "float" in kinds else "integer"


def _bits(*kinds: Kind) -> Kind:
    if "float" in kinds:
        raise Refusal("kind", "& | ^ ~ on floats; they take booleans or integers")
    if len(set(kinds)) > 1:
        raise Refusal(
            "kind",
            "& | ^ between a boolean and an integer; compare the integer (such as n != 0), or make "
            "the boolean an integer (+b)",
        )
    return kinds[0]


def _chosen(condition: Kind, a: Kind, b: Kind) -> Kind:
    return a if a == b else _arithmetic(a, b)


_BINARY: dict[type[ast.operator], Operation] = {
    ast.Add: Operation(_arithmetic, arithmetic.add, 2),
    ast.Sub: Operation(_arithmetic, arithmetic.subtract, 2),
    ast.Mult: Operation(_arithmetic, arithmetic.multiply, 2),
    ast.Div: Operation(_FLOAT, arithmetic.divide, 2),
    ast.FloorDiv: Operation(_FLOAT, arithmetic.floor_divide, 2),
    ast.Mod: Operation(_FLOAT, arithmetic.modulo, 2),
    ast.Pow: Operation(_FLOAT, arithmetic.power, 2),
    ast.BitAnd: Operation(_bits, arithmetic.bits(operator.and_), 2),
    ast.BitOr: Operation(_bits, arithmetic.bits(operator.or_), 2),
    ast.BitXor: Operation(_bits, arithmetic.bits(operator.xor), 2),
}
_BY_CONSTANT: dict[type[ast.operator], tuple[Callable[[int], bool], Callable[..., Numbers]]] = {
    ast.FloorDiv: (lambda n: n != 0, arithmetic.whole_quotient),
    ast.Mod: (lambda n: n != 0, arithmetic.whole_remainder),
    ast.Pow: (lambda n: n >= 0, arithmetic.whole_power),
}
"""what stays whole where the right operand is an integer that is written out, and meets the test"""
UNARY: dict[type[ast.unaryop], Operation] = {
    ast.USub: Operation(_arithmetic, arithmetic.negative, 1),
    ast.UAdd: Operation(_arithmetic, lambda a: a if is_float(a) else arithmetic.positive(a), 1),
    ast.Invert: Operation(_bits, arithmetic.bits(operator.invert), 1),
    ast.Not: Operation(_BOOLEAN, lambda a: ~truth(a), 1),
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def binary(op: ast.operator, right: bool | float | None) -> Operation | None:
    """The operation `a op b`; `right` is b where it is a written number, else None."""
    plain = _BINARY.get(type(op))
    test, whole = _BY_CONSTANT.get(type(op), (None, None))
    if plain is None or test is None or whole is None or type(right) is not int or not test(right):
        return plain
    return Operation(
        _arithmetic, lambda a, b: plain.compute(a, b) if is_float(a) else whole(a, right), 2
    )


def junction(op: ast.boolop, operands: int) -> Operation:
    """`a and b and …` or `a or b or …`: of the truth of each, all of them evaluated."""
    join = np.logical_and if isinstance(op, ast.And) else np.logical_or
    return Operation(_BOOLEAN, lambda *v: functools.reduce(join, map(truth, v)), operands)


def comparison(ops: Sequence[ast.cmpop]) -> Operation | None:
    """`a < b <= c …`: every step holds."""
    steps = [_COMPARE.get(type(op)) for op in ops]
    found = [step for step in steps if step is not None]
    if len(found) < len(steps):
        return None

    def chain(*terms: Numbers) -> Numbers:
        results = map(arithmetic.compare, found, terms, terms[1:])
        return np.asarray(functools.reduce(np.logical_and, results))

    return Operation(_BOOLEAN, chain, len(found) + 1)


def _elementary(ufunc: np.ufunc, operands: int = 1) -> Operation:
    return Operation(_FLOAT, lambda *v: np.asarray(ufunc(*map(as_float, v))), operands)


def _reduction(kind: KindRule, compute: Callable[..., Numbers]) -> Operation:
    return Operation(kind, compute, 1, reduces=True)


ELEMENTARY = ("sqrt", "log", "log1p", "log10", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh")
FUNCTIONS: dict[str, Operation] = {
    "abs": Operation(_arithmetic, arithmetic.absolute, 1),
    "float": Operation(_FLOAT, arithmetic.nearest_float, 1),
    **{name: _elementary(getattr(np, name)) for name in ELEMENTARY},
    "arcsinh": _elementary(np.arcsinh),
    "arctan2": _elementary(np.arctan2, 2),
    "hypot": _elementary(np.hypot, 2),
    "minimum": Operation(_arithmetic, arithmetic.smaller, 2),
    "maximum": Operation(_arithmetic, arithmetic.larger, 2),
    "isfinite": Operation(_BOOLEAN, arithmetic.finite, 1),
    "where": Operation(_chosen, arithmetic.choose, 3),
    "sum": _reduction(_arithmetic, lists.total),
    "count": _reduction(_INTEGER, lists.length),
    "any": _reduction(_BOOLEAN, lists.some),
    "all": _reduction(_BOOLEAN, lists.every),
    "min": _reduction(_FLOAT, lists.least),
    "max": _reduction(_FLOAT, lists.greatest),
    "first": _reduction(_FLOAT, lists.leading),
}
