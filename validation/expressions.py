"""Holds the evaluator of expressions to the reference: python -m triggerforge.validation.expressions

Every operation has to give the same bits for every event and list element, and every refusal has to
have the same reason. Elementary functions are looked at one by one: numpy's value of each argument
that comes up lies within ULP units in the last place of that of `math`, and both evaluators go on
with numpy's.
"""

import argparse
import math
import random
import struct
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from triggerforge.data.expressions import Expression
from triggerforge.data.language.refusals import ExpressionError
from triggerforge.progress import progress
from triggerforge.validation import language, reference
from triggerforge.validation.drawing import Draw, draw_columns
from triggerforge.validation.language import Column, Refused

ULP = 4
"""units in the last place that numpy's vectorised functions are allowed; none for sqrt"""
_PER_TABLE = 20


@dataclass
class Elementary:
    """numpy's value of an elementary function at a number, held to that of `math`."""

    calls: int = 0
    furthest: int = 0
    """units in the last place, the largest one seen"""
    wrong: list[str] = field(default_factory=list)

    def __call__(self, name: str, arguments: tuple[float, ...]) -> float:
        with np.errstate(all="ignore"):
            value = float(getattr(np, name)(*(np.array([a]) for a in arguments))[0])
        distance = ulps(value, reference.c_math(name, arguments))
        self.calls += 1
        self.furthest = max(self.furthest, distance)
        if distance > (0 if name == "sqrt" else ULP):
            self.wrong.append(f"{name}{arguments} = {value!r}, {distance} units off")
        return value


def ulps(a: float, b: float) -> int:
    """How many float64 numbers b is from a, -0 and 0 being two; 0 for two NaNs."""
    if math.isnan(a) or math.isnan(b):
        return 0 if math.isnan(a) and math.isnan(b) else 2**64
    return abs(_place(a) - _place(b))


def _place(value: float) -> int:
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return int(bits) if bits >= 0 else -(2**63) - 1 - int(bits)


@dataclass
class Outcome:
    """What the comparisons came to."""

    equal: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """reason -> expressions that both refuse"""
    different: list[str] = field(default_factory=list)
    elementary: Elementary = field(default_factory=Elementary)

    def compare(
        self, text: str, arrays: Mapping[str, Any], columns: Mapping[str, Column]
    ) -> str | None:
        """Evaluates `text` both ways; gives back in what they differ, if so."""
        try:
            expression = Expression(text)
            used = {name: arrays[name] for name in expression.symbols}
            found = expression.evaluate(used)
        except ExpressionError as error:
            reason = self._reason(text, columns, error.row)
            if reason != error.reason:
                return f"{text}: refused ({error}), the reference says {reason or 'nothing'}"
            self.refused[reason] += 1
            return None
        try:
            due = reference.evaluate(text, columns, self.elementary)
        except Refused as refused:
            return f"{text}: {found!r}, the reference refuses it: {refused.reason}"
        kind, _ = language.kind_of(language.parse(text), columns)
        if _kind(found) != kind or not same(_plain(found), due):
            return f"{text}: {_plain(found)!r} ({_kind(found)}), due is {due!r} ({kind})"
        self.equal += 1
        return None

    def _reason(self, text: str, columns: Mapping[str, Column], row: int | None) -> str | None:
        """Why the reference refuses the event `row`, or the text; None if it does not."""
        try:
            if row is None:
                reference.evaluate(text, columns, self.elementary)
            else:
                reference.evaluate_event(text, columns, row, self.elementary)
        except Refused as refused:
            return refused.reason
        return None

    def look(self, text: str, arrays: Mapping[str, Any], columns: Mapping[str, Column]) -> None:
        """Compares, and keeps the difference."""
        if (difference := self.compare(text, arrays, columns)) is not None:
            self.different.append(difference)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _kind(value: Any) -> language.Kind:
    if isinstance(value, bool | int | float):
        return language.kind_of_number(value)
    dtype = value.dtype if isinstance(value, np.ndarray) else value.layout.content.dtype
    return {"b": "boolean", "i": "integer", "u": "integer"}.get(dtype.kind, "float")  # type: ignore[return-value]


def same(a: Any, b: Any) -> bool:
    """Whether two values, or lists of them, are of one type and one bit pattern; NaN is NaN."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return ulps(a, b) == 0
    return type(a) is type(b) and bool(a == b)


def compare_many(number: int, seed: int) -> Outcome:
    """`number` random expressions over random columns."""
    rng = random.Random(seed)
    draw, outcome = Draw(rng), Outcome()
    with progress("expressions", number) as meter:
        for done in range(number):
            if done % _PER_TABLE == 0:
                arrays, columns = draw_columns(rng)
            outcome.look(draw.text(rng.choice((1, 2, 3, 4))), arrays, columns)
            if done % 1000 == 999:
                meter(done + 1, f"{len(outcome.different)} differ")
    return outcome


def report(outcome: Outcome) -> str:
    """The figures in a few lines."""
    refused, elementary = outcome.refused, outcome.elementary
    total = outcome.equal + refused.total() + len(outcome.different)
    counts = f"{len(outcome.different)} differ, {outcome.equal} equal in every bit"
    reasons = ", ".join(f"{reason} {n}" for reason, n in refused.most_common())
    lines = [
        f"{total} expressions: {counts}, {refused.total()} refused by both for the same reason",
        f"refused: {reasons}",
        f"elementary functions: {elementary.calls} values, {len(elementary.wrong)} of them wrong",
        f"furthest from math: {elementary.furthest} units in the last place; {ULP} are allowed, none for sqrt",
    ]
    return "\n".join([*lines, *outcome.different[:10], *elementary.wrong[:10], ""])


def main(arguments: list[str] | None = None) -> int:
    """The command; status 1 if anything differs."""
    parser = argparse.ArgumentParser(
        prog="python -m triggerforge.validation.expressions",
        description="Holds the evaluator of expressions to the reference in Python numbers.",
    )
    parser.add_argument("--expressions", type=int, default=100_000, help="how many to draw")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    outcome = compare_many(options.expressions, options.seed)
    sys.stdout.write(report(outcome))
    return 1 if outcome.different or outcome.elementary.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
