import re
from typing import Any

import awkward as ak
import numpy as np
import pytest

from triggerforge.data.expressions import Expression
from triggerforge.data.language.refusals import ExpressionError
from triggerforge.errors import DataError

COLUMNS: dict[str, Any] = {
    "x": np.array([1.0, -2.0, 3.0]),
    "y": np.array([4.0, 5.0, 6.0]),
    "flag": np.array([True, False, True]),
    "other": np.array([True, True, False]),
    "bits": np.array([1, 2, 3]),
    "a.b": np.array([7.0, 8.0, 9.0]),
    "lists": ak.Array([[3.0, 1.0], [], [5.0]]),
    "u": np.array([0, 1, 2], np.uint64),
    "short": np.array([200, 255, 1], np.uint8),
    "i": np.array([2**60, 2**60 + 1, -(2**62)]),
    "huge": np.array([2**64 - 1, 2**63, 7], np.uint64),
    "zero": np.array([0, 1, 0], np.int32),
    "single": np.array([0.1, 0.5, 2.0], np.float32),
    "whole": ak.Array([[2**60, 1], [], [5]]),
    "flags": ak.Array([[True, True, False], [], [True]]),
    "large": ak.unflatten(np.array([2**63 + 5, 2**63 + 4, 7], np.uint64), [2, 0, 1]),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x + 2 * y - 1", [8, 7, 14]),
        ("-x / y", [-0.25, 0.4, -0.5]),
        ("x ** 2 // 2 % 3", [0, 2, 1]),
        ("0 < x < 2", [True, False, False]),
        ("x > 0 and y > 4", [False, False, True]),
        ("x > 0 or not flag", [True, True, True]),
        ("(x > 0) & flag | (y == 5)", [True, True, True]),
        ("~flag ^ (x < 0)", [False, False, False]),
        ("bits & 2", [0, 2, 2]),
        ("abs(x) + hypot(3, 4)", [6, 7, 8]),
        ("where(x > 0, x, 0)", [1, 0, 3]),
        ("minimum(x, 2)", [1, -2, 2]),
        ("a.b - 7", [0, 1, 2]),
        ("sum(lists)", [4, 0, 5]),
        ("count(lists) >= 1", [True, False, True]),
        ("any(lists > 4)", [False, False, True]),
        ("all(lists > 2)", [False, True, True]),
        ("max(lists)", [3, np.nan, 5]),
        ("min(lists)", [1, np.nan, 5]),
        ("first(lists) + x", [4, np.nan, 8]),
        ("where(count(lists) > 1, sum(lists), 0)", [4, 0, 0]),
    ],
)
def test_values(text: str, value: list[float]) -> None:
    expression = Expression(text)
    assert expression.symbols <= COLUMNS.keys()
    np.testing.assert_allclose(np.asarray(expression.evaluate(COLUMNS)), value)


NAN = float("nan")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # integers do not wrap, whatever their type (numpy #26998)
        ("u - 2", [-2, -1, 0]),
        ("-u", [0, -1, -2]),
        ("short + short", [400, 510, 2]),
        ("short * -1", [-200, -255, -1]),
        ("~short", [-201, -256, -2]),
        ("u - i", [-(2**60), -(2**60), 2**62 + 2]),
        ("i - 1152921504606846976", [0, 1, -5 * 2**60]),
        ("u > -1", [True, True, True]),
        ("huge > i", [True, True, True]),
        ("huge == 18446744073709551615", [True, False, False]),
        ("huge >= 9223372036854775808.0", [True, True, False]),
        ("i == 1152921504606846976.0", [True, False, False]),
        ("huge % 10", [5, 8, 7]),
        ("huge // 2", [2**63 - 1, 2**62, 3]),
        ("sum(whole) - 1152921504606846976", [1, -(2**60), 5 - 2**60]),
        ("any(large > 9223372036854775812)", [True, False, False]),
        ("i ** 1", [2**60, 2**60 + 1, -(2**62)]),
        ("short ** 2", [40000, 65025, 1]),
        # booleans are 0 and 1 in arithmetic (arkouda #3080)
        ("flag + other", [2, 1, 1]),
        ("-flag", [-1, 0, -1]),
        ("flag - other", [0, -1, 1]),
        ("flag * 3", [3, 0, 3]),
        ("sum(flags)", [2, 0, 1]),
        ("+flag & bits", [1, 0, 1]),
        ("~flag", [False, True, False]),
        ("flag ^ other", [False, True, True]),
        ("where(flag, flag, other)", [True, True, True]),
        # bits of integers
        ("short & ~4", [200, 251, 1]),
        ("bits | 8", [9, 10, 11]),
        ("not bits", [False, False, False]),
        ("not zero", [True, False, True]),
        ("not x - 1", [True, False, False]),
        ("(x > 2) & (bits < 3)", [False, False, False]),
        ("(bits & 2) > 0", [False, True, True]),
        # a divisor of zero
        ("bits // 0", [NAN, NAN, NAN]),
        ("bits % zero", [NAN, 0.0, NAN]),
        ("bits // zero", [NAN, 2.0, NAN]),
        ("x / 0", [NAN, NAN, NAN]),
        ("x / zero", [NAN, -2.0, NAN]),
        ("bits / bits", [1.0, 1.0, 1.0]),
        ("(-7 + 0 * bits) // 2", [-4, -4, -4]),
        ("(-7 + 0 * bits) % 3", [2, 2, 2]),
        # float32 is widened before anything is done
        ("single == 0.1", [False, False, False]),
        ("single * 1", [float(np.float32(0.1)), 0.5, 2.0]),
        # what a float cannot hold is rounded on demand
        ("float(i)", [2.0**60, 2.0**60, -(2.0**62)]),
    ],
)
def test_numbers_and_their_kinds(text: str, value: list[Any]) -> None:
    found = Expression(text).evaluate(COLUMNS)
    assert list(map(repr, found.tolist())) == list(map(repr, value))  # 1 is not 1.0; NaN is NaN


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("i * i", "overflow", r"'i \* i': event 0: the integer result 13292.*±2\^63"),
        ("i - 9223372036854775807 - i", "overflow", "event 2"),
        ("bits ** 65", "overflow", r"event 1: the integer result 2 \*\* 65"),
        ("abs(-9223372036854775808 + 0 * bits)", "overflow", "event 0"),
        ("huge + 1", "overflow", "event 0"),
        ("sum(large)", "overflow", "event 0"),
        ("2 ** 63", "overflow", "'2 [*][*] 63': the integer result 92233"),
        ("i * 1.0", "inexact", "event 1: the integer 1152921504606846977 is no float64; subtract"),
        ("log(i)", "inexact", "event 1"),
        ("max(large)", "inexact", "event 0: the integer 9223372036854775813"),
        ("flag & bits", "kind", "between a boolean and an integer; compare the integer"),
        ("x & bits", "kind", "'x & bits' has & | . ~ on floats"),
        ("~x", "kind", "on floats"),
        ("sum(x)", "lists", r"'sum\(x\)' needs a list for each event"),
        ("lists + flags", "lengths", "event 0: lists of 2 and 3 numbers"),
    ],
)
def test_what_has_no_exact_value_is_refused(text: str, reason: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Expression(text).evaluate(COLUMNS)
    assert isinstance(caught.value, ExpressionError)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("text", "to_write"),
    [
        ("i > 2 & u < 3", "'(i > 2) & (u < 3)', or 'i > (2 & u) < 3'"),
        ("a > 2 & b", "'(a > 2) & b', or 'a > (2 & b)'"),
        ("flags & 4 > 0", "'flags & (4 > 0)', or '(flags & 4) > 0'"),
        ("flags & 4 == 4", "'flags & (4 == 4)', or '(flags & 4) == 4'"),
        ("a < 1 | b < 2 ^ c > 3", "'(a < 1) | (b < 2) ^ (c > 3)'"),
        ("0 < a < 5 & b", "'(0 < a < 5) & b'"),
        ("where(x, a > 2 & b < 3, 0)", "'(a > 2) & (b < 3)'"),
        ("c and not a > f(2) & b < 3".replace("f", "abs"), "'(a > abs(2)) & (b < 3)'"),
    ],
)
def test_bits_beside_a_comparison_need_parentheses(text: str, to_write: str) -> None:
    with pytest.raises(DataError, match=re.escape(to_write)):
        Expression(text)


@pytest.mark.parametrize(
    "text", ["(a > 2) & (b < 3)", "(a & 4) > 0", "a > (2 & b)", "(a | b) == (c ^ d)", "not a & b"]
)
def test_what_has_its_parentheses_is_taken(text: str) -> None:
    Expression(text)


def test_both_readings_of_a_refused_expression_are_taken_and_differ() -> None:
    logical = Expression("(bits > 2) & (u < 3)").evaluate(COLUMNS)
    chained = Expression("bits > (2 & u) < 3").evaluate(COLUMNS)
    assert logical.tolist() == [False, False, True]
    assert chained.tolist() == [True, True, True]


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", ">i2", "<u4", ">i8", ">u8", ">f4", "<f2"])
def test_columns_of_every_type_and_byte_order(dtype: str) -> None:
    column = np.array([0, 1], dtype)
    assert Expression("c - 2").evaluate({"c": column}).tolist() == [-2, -1]
    lists = ak.unflatten(column.astype(column.dtype.newbyteorder("=")), [2, 0])
    assert Expression("c - 2").evaluate({"c": lists}).tolist() == [[-2, -1], []]


@pytest.mark.parametrize("dtype", ["bool", "u1", "u8", "i2", "f4", ">f8"])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_column_by_itself_is_handed_on_as_it_is(dtype: str, rows: int) -> None:
    column = np.arange(rows).astype(dtype)
    found = Expression("c").evaluate({"c": column})
    assert found.dtype == column.dtype
    np.testing.assert_array_equal(found, column)


def test_floats_are_the_numbers_or_refused() -> None:
    assert Expression("u - 2").floats(COLUMNS).tolist() == [-2.0, -1.0, 0.0]
    assert Expression("2 * 3").floats(COLUMNS) == 6.0
    with pytest.raises(DataError, match="'i': event 8: the integer 1152921504606846977 is no"):
        Expression("i").floats(COLUMNS, events=7)
    with pytest.raises(DataError, match="'lists': gives a list for each event"):
        Expression("lists").floats(COLUMNS)


def test_errors_give_the_numbers_of_the_events() -> None:
    columns = {"n": np.array([1, 2**40, 2**41])}
    with pytest.raises(DataError, match="event 71:"):
        Expression("n * n").evaluate(columns, events=70)
    with pytest.raises(DataError, match="event 9:"):
        Expression("n * n").evaluate(columns, events=np.array([5, 9, 11]))


def test_lists_keep_their_lengths() -> None:
    found = Expression("whole - u").evaluate(COLUMNS)
    assert found.tolist() == [[2**60, 1], [], [3]]
    assert Expression("whole > u").evaluate(COLUMNS).tolist() == [[True, True], [], [True]]


@pytest.mark.parametrize(
    "column",
    [np.array(["a"]), np.array([1 + 2j]), np.array([1], np.longdouble), np.array([None])],
    ids=lambda c: str(c.dtype),
)
def test_columns_without_numbers_are_named(column: Any) -> None:
    with pytest.raises(DataError, match="'c' is a column of .*; booleans, integers or floats"):
        Expression("c + 1").evaluate({"c": column})


@pytest.mark.parametrize(
    "column",
    [
        ak.Array([1, None, 2]),
        ak.Array([[1, None], []]),
        ak.Array([[1], None]),
        np.ma.masked_array([1, 2], mask=[False, True]),
    ],
    ids=lambda c: str(getattr(c, "type", "masked")),
)
def test_missing_values_are_refused(column: Any) -> None:
    with pytest.raises(DataError, match="'c' is a column with missing values"):
        Expression("c + 1").evaluate({"c": column})


@pytest.mark.parametrize("column", [ak.Array([[[1]], []]), np.ones((2, 2, 2)), ak.Array([1, [2]])])
def test_lists_of_lists_are_refused(column: Any) -> None:
    with pytest.raises(DataError, match="'c' is an array .*; numbers are due, or lists of them"):
        Expression("c + 1").evaluate({"c": column})


def test_rows_of_one_length_are_lists() -> None:
    columns = {"c": np.array([[1, 2], [3, 4]]), "n": np.array([1, 3])}
    assert Expression("sum(c * n)").evaluate(columns).tolist() == [3, 21]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "x[0]",
        "[x]",
        "'text'",
        "lambda: 1",
        "x if flag else y",
        "(x := 1)",
        "abs(x, key=1)",
        "x.mean()",
        "x @ y",
        "{x}",
        "x << 2",
        "x in y",
        "f'{x}'",
        "1j",
    ],
)
def test_nothing_else_is_allowed(text: str) -> None:
    with pytest.raises(DataError, match="not allowed"):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    ["x +", "", "x y", "(" * 3000, "-" * 3900 + "1", "1\0", "x = 1", "x # y", "+".join("x" * 999)],
)
def test_what_does_not_parse_is_named(text: str) -> None:
    with pytest.raises(DataError, match="is no expression"):
        Expression(text)


def test_an_expression_may_go_over_lines() -> None:
    assert Expression("x +\n  1").evaluate(COLUMNS).tolist() == [2, -1, 4]


def test_unknown_functions_get_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'sqrt'"):
        Expression("sqr(x)")


@pytest.mark.parametrize("text", ["hypot(x)", "abs()", "where(x, 1)", "min(x, y)"])
def test_the_number_of_arguments_is_checked(text: str) -> None:
    with pytest.raises(DataError, match="takes . arguments, not"):
        Expression(text)


def test_long_texts_and_large_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="at most"):
        Expression("x" * 5000)
    with pytest.raises(DataError, match=r"beyond 2\^64"):
        Expression("100000000000000000000")
    with pytest.raises(DataError, match="beyond"):
        Expression("1e999")


def test_a_tower_of_powers_ends_at_once() -> None:
    assert Expression("9**9**9**9**9").evaluate({}) == np.inf


def test_columns_that_do_not_fit_are_named() -> None:
    with pytest.raises(DataError, match=r"'x \+ y': columns of different lengths"):
        Expression("x + y").evaluate({"x": np.ones(2), "y": np.ones(3)})
