import awkward as ak
import numpy as np
import pytest

from triggerforge.data.expressions import Expression
from triggerforge.errors import DataError

COLUMNS = {
    "x": np.array([1.0, -2.0, 3.0]),
    "y": np.array([4.0, 5.0, 6.0]),
    "flag": np.array([True, False, True]),
    "bits": np.array([1, 2, 3]),
    "a.b": np.array([7.0, 8.0, 9.0]),
    "lists": ak.Array([[3.0, 1.0], [], [5.0]]),
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
    ],
)
def test_nothing_else_is_allowed(text: str) -> None:
    with pytest.raises(DataError, match="not allowed"):
        Expression(text)


@pytest.mark.parametrize("text", ["x +", "", "x y", "(" * 3000, "-" * 3900 + "1", "1\0", "x = 1"])
def test_what_does_not_parse_is_named(text: str) -> None:
    with pytest.raises(DataError, match="is no expression"):
        Expression(text)


def test_unknown_functions_get_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'sqrt'"):
        Expression("sqr(x)")


def test_long_texts_and_large_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="at most"):
        Expression("x" * 5000)
    with pytest.raises(DataError, match="beyond"):
        Expression("10000000000000000000")


def test_a_tower_of_powers_ends_at_once() -> None:
    assert Expression("9**9**9**9**9").evaluate({}) == np.inf


def test_columns_that_do_not_fit_are_named() -> None:
    with pytest.raises(DataError, match="'x \\+ y' cannot be evaluated"):
        Expression("x + y").evaluate({"x": np.ones(2), "y": np.ones(3)})
    with pytest.raises(DataError, match="a list for each event"):
        Expression("sum(x)").evaluate(COLUMNS)
    with pytest.raises(DataError, match="cannot be evaluated"):
        Expression("1 // x & y").evaluate(COLUMNS)


def test_wrong_number_of_arguments_is_a_data_error() -> None:
    with pytest.raises(DataError, match="cannot be evaluated"):
        Expression("hypot(x)").evaluate(COLUMNS)
