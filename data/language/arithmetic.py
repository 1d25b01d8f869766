"""Numbers of expressions over flat arrays: whole numbers exact, floats by IEEE 754 in float64.

An array (n,) is of bool, int64 or float64, or of Python integers (dtype object) where a column of
uint64 holds numbers beyond int64. Where the result of an operation on whole numbers might leave
int64, it is done in Python integers.
docs/expressions.md has the rules; validation/reference.py is the same without arrays.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.language.refusals import Refusal

Numbers = NDArray[Any]
LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""range of the result of every operation on whole numbers"""
EXACT = 2**53
"""whole numbers up to this size are all float64 numbers"""


def canonical(column: Numbers) -> Numbers:
    """A column as numbers of the language.

    Raises Refusal if it is not of booleans, integers of up to 64 bits, or floats of up to 64 bits.
    """
    kind, size = column.dtype.kind, column.dtype.itemsize
    if kind == "b":
        return np.asarray(column, np.bool_)
    if kind == "f" and size <= 8:
        return np.asarray(column, np.float64)
    if kind == "u" and size == 8 and column.size and int(column.max()) > HIGHEST:
        return column.astype(object)
    if kind in "iu":
        return column.astype(np.int64)
    raise Refusal("kind", f"a column of {column.dtype}; booleans, integers or floats are due")


def is_float(values: Numbers) -> bool:
    """Whether these are floats; booleans and whole numbers are not."""
    return values.dtype == np.float64


def as_integer(values: Numbers) -> Numbers:
    """Booleans as 0 and 1; whole numbers as they are."""
    return values.astype(np.int64) if values.dtype == np.bool_ else values


def nearest_float(values: Numbers) -> Numbers:
    """The nearest float64 of each number; ties to even."""
    return values.astype(np.float64)


def as_float(values: Numbers) -> Numbers:
    """The same numbers as float64.

    Raises Refusal for a whole number that is none.
    """
    floats = nearest_float(values)
    if values.dtype == np.bool_ or is_float(values):
        return floats
    for index in np.flatnonzero((values > EXACT) | (values < -EXACT)):
        if int(floats[index]) != int(values[index]):
            raise Refusal(
                "inexact",
                f"the integer {int(values[index])} is no float64; subtract an integer from it "
                "first, or round it with float(…)",
                int(index),
            )
    return floats


def within(values: Numbers) -> Numbers:
    """Python integers as int64; raises Refusal for one that does not fit."""
    if values.dtype != object:
        return values
    bad = np.flatnonzero((values > HIGHEST) | (values < LOWEST))
    if bad.size:
        raise overflow(str(values[bad[0]]), int(bad[0]))
    return values.astype(np.int64)


def overflow(number: str, index: int) -> Refusal:
    """The refusal of a result beyond int64."""
    return Refusal(
        "overflow",
        f"the integer result {number} is beyond ±2^63; write float(…) for an operand",
        index,
    )


def _bounds(values: Numbers) -> tuple[int, int]:
    return (int(values.min()), int(values.max())) if values.size else (0, 0)


def _exactly(
    compute: Callable[..., Numbers], operands: tuple[Numbers, ...], extremes: tuple[int, ...]
) -> Numbers:
    """`compute` in int64 if its `extremes` fit, else in Python integers."""
    fits = all(LOWEST <= value <= HIGHEST for value in extremes)
    if fits and all(o.dtype == np.int64 for o in operands):
        return compute(*operands)
    return within(np.asarray(compute(*(o.astype(object) for o in operands)), object))


def _arithmetic(
    compute: Callable[[Any, Any], Any], corners: Callable[[Any, Any], tuple[int, ...]]
) -> Callable[[Numbers, Numbers], Numbers]:
    """+, - or *: exact for whole numbers, by `corners` of their bounds; else in float64."""

    def over(a: Numbers, b: Numbers) -> Numbers:
        if is_float(a) or is_float(b):
            return np.asarray(compute(as_float(a), as_float(b)))
        a, b = as_integer(a), as_integer(b)
        return _exactly(compute, (a, b), corners(_bounds(a), _bounds(b)))

    return over


add = _arithmetic(operator.add, lambda a, b: (a[0] + b[0], a[1] + b[1]))
subtract = _arithmetic(operator.sub, lambda a, b: (a[0] - b[1], a[1] - b[0]))
multiply = _arithmetic(operator.mul, lambda a, b: tuple(x * y for x in a for y in b))


def negative(a: Numbers) -> Numbers:
    """-a."""
    if is_float(a):
        return -a
    a = as_integer(a)
    low, high = _bounds(a)
    return _exactly(operator.neg, (a,), (-high, -low))


def positive(a: Numbers) -> Numbers:
    """+a: a itself, booleans as 0 and 1."""
    return within(as_integer(a))


def absolute(a: Numbers) -> Numbers:
    """|a|."""
    if is_float(a):
        return np.abs(a)
    a = as_integer(a)
    return _exactly(operator.abs, (a,), tuple(map(abs, _bounds(a))))


def divide(a: Numbers, b: Numbers) -> Numbers:
    """a / b; NaN where b is 0."""
    a, b = as_float(a), as_float(b)
    return np.where(b == 0, np.nan, a / b)


def _whole_division(
    compute: Callable[[Any, Any], Any], floats: Callable[[Numbers, Numbers], Numbers]
) -> Callable[[Numbers, Numbers], Numbers]:
    """// or % as a float: the exact result, NaN where the divisor is 0."""

    def over(a: Numbers, b: Numbers) -> Numbers:
        if is_float(a) or is_float(b):
            a, b = as_float(a), as_float(b)
            return np.where(b == 0, np.nan, floats(a, b))
        a, b = as_integer(a), as_integer(b)
        zero = np.asarray(b == 0, np.bool_)
        a, b = np.where(zero, 0, a), np.where(zero, 1, b)
        if LOWEST in _bounds(a) or object in (a.dtype, b.dtype):  # LOWEST // -1 is beyond int64
            a, b = a.astype(object), b.astype(object)
        result = as_float(np.asarray(compute(a, b)))
        result[zero] = np.nan
        return result

    return over


floor_divide = _whole_division(operator.floordiv, np.floor_divide)
modulo = _whole_division(operator.mod, np.mod)


def whole_quotient(a: Numbers, divisor: int) -> Numbers:
    """a // divisor for whole a and a divisor that is not 0: whole."""
    extremes = tuple(x // divisor for x in _bounds(a))
    return _exactly(operator.floordiv, (as_integer(a), _one(divisor)), extremes)


def whole_remainder(a: Numbers, divisor: int) -> Numbers:
    """a % divisor for whole a and a divisor that is not 0: whole, with the divisor's sign."""
    extremes = tuple(x // divisor for x in _bounds(a))  # LOWEST % -1 divides beyond int64
    return _exactly(operator.mod, (as_integer(a), _one(divisor)), extremes)


def whole_power(a: Numbers, exponent: int) -> Numbers:
    """a ** exponent for whole a and an exponent that is not negative: whole."""
    a = as_integer(a)
    largest = max(map(abs, _bounds(a)))
    if largest > 1 and exponent > 64:
        index = int(np.flatnonzero((a > 1) | (a < -1))[0])
        raise overflow(f"{int(a[index])} ** {exponent}", index)
    exponent = min(exponent, 64 + exponent % 2)  # more change nothing for 0, 1 and -1
    return _exactly(operator.pow, (a, _one(exponent)), (largest**exponent,))


def _one(number: int) -> Numbers:
    return np.array([number], np.int64 if LOWEST <= number <= HIGHEST else object)


def power(a: Numbers, b: Numbers) -> Numbers:
    """a ** b in float64."""
    return np.asarray(np.power(as_float(a), as_float(b)))


def bits(compute: Callable[..., Any]) -> Callable[..., Numbers]:
    """& | ^ ~: logical on booleans, of every bit on whole numbers (two's complement, no end)."""

    def over(*operands: Numbers) -> Numbers:
        if all(o.dtype == np.bool_ for o in operands):
            return np.asarray(compute(*operands))
        return _exactly(compute, operands, ())

    return over


def truth(a: Numbers) -> NDArray[np.bool_]:
    """Whether a is not 0; NaN is not."""
    return a if a.dtype == np.bool_ else np.asarray(a != 0, np.bool_)


def compare(op: Callable[[Any, Any], Any], a: Numbers, b: Numbers) -> NDArray[np.bool_]:
    """a < b, …, of the exact numbers, whatever their kinds."""
    if is_float(a) == is_float(b):
        return np.asarray(op(as_integer(a), as_integer(b)), np.bool_)
    a, b = as_integer(a), as_integer(b)
    result = np.array(op(nearest_float(a), nearest_float(b)))
    whole = b if is_float(a) else a
    for index in np.flatnonzero((whole > EXACT) | (whole < -EXACT)):
        x, y = (float(v[index]) if is_float(v) else int(v[index]) for v in (a, b))
        result[index] = op(x, y)  # Python compares an int with a float exactly
    return result


def smaller(a: Numbers, b: Numbers) -> Numbers:
    """The smaller one; NaN if either is; a zero is +0."""
    return _extreme(np.minimum, a, b)


def larger(a: Numbers, b: Numbers) -> Numbers:
    """The larger one; NaN if either is; a zero is +0."""
    return _extreme(np.maximum, a, b)


def _extreme(ufunc: np.ufunc, a: Numbers, b: Numbers) -> Numbers:
    if is_float(a) or is_float(b):
        return np.asarray(ufunc(as_float(a), as_float(b)) + 0.0)
    return within(np.asarray(ufunc(as_integer(a), as_integer(b))))


def choose(condition: Numbers, a: Numbers, b: Numbers) -> Numbers:
    """a where the condition is true, else b; of the wider kind of both."""
    if is_float(a) or is_float(b):
        a, b = as_float(a), as_float(b)
    elif a.dtype != b.dtype:
        a, b = as_integer(a), as_integer(b)
    return within(np.where(truth(condition), a, b))


def finite(a: Numbers) -> Numbers:
    """Whether a is neither NaN nor infinite."""
    return np.isfinite(a) if is_float(a) else np.ones(a.shape, np.bool_)
