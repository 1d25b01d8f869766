"""The evaluator of expressions against the reference in Python numbers."""

import itertools
import math
import random
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggerforge.data.expressions import Expression
from triggerforge.data.language import arithmetic, lists, operations
from triggerforge.data.language.operations import FUNCTIONS
from triggerforge.validation import language, reference
from triggerforge.validation.drawing import TYPES, Draw, draw_columns
from triggerforge.validation.expressions import Elementary, Outcome, main, same, ulps
from triggerforge.validation.language import ELEMENTARY, Column, Refused


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_a_random_expression_is_the_same_both_ways(rng: random.Random, depth: int) -> None:
    arrays, columns = draw_columns(rng)
    text = Draw(rng).text(depth)
    outcome = Outcome()
    assert outcome.compare(text, arrays, columns) is None
    assert outcome.elementary.wrong == []


def test_the_command_in_its_short_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--expressions", "700", "--seed", "7"]) == 0
    first, refused, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("700 expressions: 0 differ")
    reasons = {part.split()[0] for part in refused.removeprefix("refused: ").split(", ")}
    assert reasons == {
        *("syntax", "parentheses", "kind", "lists", "lengths", "overflow", "inexact")
    }


BINARY = ["+", "-", "*", "/", "//", "%", "**", "&", "|", "^"]
BINARY += ["<", "<=", ">", ">=", "==", "!=", "and", "or"]


def every_type() -> list[tuple[str, str]]:
    """Each operator and function over each pair of types, flat and in lists."""
    names = [*TYPES, *(f"list.{t}" for t in TYPES)]
    rng = random.Random(3)
    texts = [f"{{a}} {op} {{b}}" for op in BINARY]
    texts += ["-{a}", "+{a}", "~{a}", "not {a}", "{a} // -3", "{a} % 5", "{a} ** 2", "{a} ** 0"]
    for name, function in FUNCTIONS.items():
        texts.append(f"{name}({', '.join(['{a}', '{b}', '{a}'][: function.operands])})")
    return [(text, text.format(a=a, b=rng.choice(names))) for text in texts for a in names]


@pytest.mark.parametrize("seed", range(3))
def test_every_operation_over_every_type_of_column(seed: int) -> None:
    arrays, columns = draw_columns(random.Random(seed))
    outcome = Outcome()
    for _, text in every_type():
        outcome.look(text, arrays, columns)
    assert outcome.different == [] and outcome.elementary.wrong == []
    assert outcome.equal > 400


CORNERS: dict[str, list[Any]] = {
    "int64": [-(2**63), -(2**63) + 1, -(2**53) - 1, -3, -1, 0, 1, 3, 2**53 + 1, 2**62, 2**63 - 1],
    "uint64": [0, 1, 3, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1],
    "float64": [-math.inf, -(2.0**63), -0.0, 0.0, 0.5, 2.0**53, 2.0**53 + 2, 2.0**64, math.nan],
    "bool": [False, True],
}
ALONE = ["-a", "+a", "~a", "not a", "abs(a)", "float(a)", "isfinite(a)", "a ** 0", "a ** 2"]
ALONE += [f"a // {n}" for n in (-(2**63), -3, -1, 1, 2**63, 2**64 - 1)]
ALONE += [f"a % {n}" for n in (-(2**63), -1, 7, 2**64 - 1)]
ALONE += [f"a ** {n}" for n in (3, 63, 64, 65, 66, 2**60, 2**60 + 1)]


def look_at(outcome: Outcome, texts: list[str], **values: tuple[str, Any]) -> None:
    """Compares over one event, so that a refusal for one hides no other."""
    arrays = {n: np.array([value], dtype) for n, (dtype, value) in values.items()}
    columns = {
        n: Column(language.kind_of_number(value), False, [value])
        for n, (_, value) in values.items()
    }
    for text in texts:
        outcome.look(text, arrays, columns)


@pytest.mark.parametrize("one", CORNERS)
@pytest.mark.parametrize("other", CORNERS)
def test_every_pair_of_numbers_at_the_ends(one: str, other: str) -> None:
    texts = [f"a {op} b" for op in BINARY] + ["minimum(a, b)", "maximum(a, b)", "where(a, a, b)"]
    outcome = Outcome()
    for a, b in itertools.product(CORNERS[one], CORNERS[other]):
        look_at(outcome, texts, a=(one, a), b=(other, b))
    assert outcome.different == [] and outcome.elementary.wrong == []


@pytest.mark.parametrize("one", CORNERS)
def test_every_number_at_the_ends(one: str) -> None:
    outcome = Outcome()
    for a in CORNERS[one]:
        look_at(outcome, ALONE, a=(one, a))
    assert outcome.different == []
    assert outcome.equal > 20


@pytest.mark.parametrize(
    "text", ["int8", "list.uint64 - 1", "sum(list.float32)", "1 + 2", "max(odd)"]
)
def test_no_events(text: str) -> None:
    arrays, columns = draw_columns(_Fixed(0))
    assert len(arrays["int8"]) == 0
    assert Outcome().compare(text, arrays, columns) is None


class _Fixed(random.Random):
    """Draws tables without rows."""

    def choice(self, seq: Any) -> Any:
        return seq[0]


@pytest.mark.parametrize(
    ("text", "module", "name", "broken"),
    [
        ("minimum(bool, bool)", arithmetic, "as_integer", lambda v: v),
        ("uint64 / 3", arithmetic, "as_float", lambda v: v.astype(np.float64)),
        ("int64 - uint64", arithmetic, "_bounds", lambda v: (0, 0)),
        ("not int8", operations, "truth", lambda v: v > 0),
        ("sum(list.float64)", lists, "event_of", lambda counts: np.zeros(counts.sum(), int)),
    ],
)
def test_a_broken_evaluator_is_seen(
    text: str, module: Any, name: str, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [draw_columns(random.Random(seed)) for seed in range(30)]
    whole, seen = Outcome(), Outcome()
    for arrays, columns in tables:
        whole.look(text, arrays, columns)
    monkeypatch.setattr(module, name, broken)
    for arrays, columns in tables:
        seen.look(text, arrays, columns)
    assert not whole.different and seen.different


def test_both_evaluators_and_the_page_know_the_same_functions() -> None:
    assert {n: operation.operands for n, operation in FUNCTIONS.items()} == language.FUNCTIONS
    page = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text()
    written = {word for part in re.findall(r"`([a-z0-9 ]+)` \|\n", page) for word in part.split()}
    assert written >= FUNCTIONS.keys()


ROWS = {
    "n": Column("integer", False, [2**60 + 1, -7, 0]),
    "x": Column("float", False, [0.1, -2.5, math.inf]),
    "b": Column("boolean", False, [True, False, True]),
    "v": Column("integer", True, [[3, 1], [], [2**62, 2**62]]),
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n - 1152921504606846976", [1, -7 - 2**60, -(2**60)]),
        ("n // 2", [2**59, -4, 0]),
        ("n % 4", [1, 1, 0]),
        ("-7 // 2 + 0 * n", [-4, -4, -4]),
        ("b + b", [2, 0, 2]),
        ("not n", [False, False, True]),
        ("~n", [-(2**60) - 2, 6, -1]),
        ("~b", [False, True, False]),
        ("count(v) + b", [3, 0, 3]),
        ("x + x", [0.2, -5.0, math.inf]),
        ("0 < n <= 1152921504606846977", [True, False, False]),
        ("n == 1152921504606846976.0", [False, False, False]),
    ],
)
def test_the_reference_against_figures_worked_out_by_hand(text: str, value: list[Any]) -> None:
    assert same(reference.evaluate(text, ROWS), value)


def test_the_reference_against_exact_fractions() -> None:
    """A sum, difference or product is the exact one, rounded once; a quotient as well."""
    rng = random.Random(5)
    for _ in range(300):
        a, b = rng.uniform(-9, 9), rng.choice([rng.uniform(-9, 9), rng.randint(1, 2**53)])
        columns = {
            "a": Column("float", False, [a]),
            "b": Column(language.kind_of_number(b), False, [b]),
        }
        for op, exact in (
            ("+", Fraction(a) + Fraction(b)),
            ("-", Fraction(a) - Fraction(b)),
            ("*", Fraction(a) * Fraction(b)),
            ("/", Fraction(a) / Fraction(b)),
        ):
            assert reference.evaluate(f"a {op} b", columns) == [float(exact)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x[0]", "syntax"),
        ("nothing(x)", "syntax"),
        ("n > 2 & n < 3", "parentheses"),
        ("(n > 2) & b > 0", "parentheses"),
        ("n & b", "kind"),
        ("~x", "kind"),
        ("sum(n)", "lists"),
        ("sum(v)", "overflow"),
        ("n * n", "overflow"),
        ("2 ** 63 + x", "overflow"),
        ("n + x", "inexact"),
        ("n / 2", "inexact"),
    ],
)
def test_what_the_reference_refuses(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        reference.evaluate(text, ROWS)


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("log", (0.0,), -math.inf),
        ("log", (-1.0,), math.nan),
        ("log1p", (-1.0,), -math.inf),
        ("exp", (1000.0,), math.inf),
        ("sinh", (-1000.0,), -math.inf),
        ("cosh", (-1000.0,), math.inf),
        ("sqrt", (-0.0,), -0.0),
        ("sin", (math.inf,), math.nan),
        ("hypot", (math.nan, math.inf), math.inf),
        ("power", (0.0, -1.0), math.inf),
        ("power", (-0.0, -3.0), -math.inf),
        ("power", (-8.0, 1 / 3), math.nan),
        ("power", (-10.0, 309.0), -math.inf),
        ("power", (math.nan, 0.0), 1.0),
    ],
)
def test_elementary_functions_at_their_ends(
    name: str, arguments: tuple[float, ...], value: float
) -> None:
    """C99 Annex F; the evaluator and the reference."""
    with np.errstate(all="ignore"):
        found = float(getattr(np, name)(*arguments))
    assert ulps(found, value) == ulps(reference.c_math(name, arguments), value) == 0


@pytest.mark.parametrize("name", ELEMENTARY)
def test_elementary_functions_do_not_hang_on_the_place_in_a_chunk(name: str) -> None:
    """numpy takes several numbers at once; a chunk of another size gives the same bits."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0, 3, 203), 10.0 ** rng.uniform(-300, 300, 100)])
    arguments = (x, np.roll(x, 7))[: FUNCTIONS[name].operands]
    columns = dict(zip("ab", arguments, strict=False))
    whole = Expression(f"{name}({', '.join(columns)})").evaluate(columns)
    single = Elementary()
    assert same(whole.tolist(), [single(name, place) for place in zip(*arguments, strict=True)])
    assert single.wrong == []


def test_units_in_the_last_place() -> None:
    assert ulps(1.0, math.nextafter(1.0, 2)) == 1
    assert ulps(-5e-324, 5e-324) == 3  # -0 and 0 lie between them, and are told apart
    assert ulps(math.nan, math.nan) == 0 and ulps(math.nan, 1.0) > 1000
    assert not same(1, 1.0) and not same(True, 1) and not same(0.0, -0.0)
    assert same([math.nan, [1]], [math.nan, [1]])
