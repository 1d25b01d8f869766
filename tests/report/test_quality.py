"""Accuracy beside chance, and the difference from the float model."""

from typing import Any

import pytest

from triggerforge.report.quality import accuracy_line, chance, no_better_than_chance, signed


def metrics(accuracy: float, err: float, confusion: Any) -> dict[str, Any]:
    return {"accuracy": accuracy, "accuracy_err": err, "confusion": confusion}


BALANCED = [[9, 1], [2, 8]]
LOPSIDED = [[60, 15], [20, 5]]


def test_chance_is_a_blind_guess_and_the_most_frequent_class() -> None:
    found = chance(metrics(0.85, 0.1, BALANCED))
    assert found is not None and found.words == "chance is 50 %"
    found = chance(metrics(0.65, 0.05, LOPSIDED))
    assert found is not None
    assert found.words == "chance is 50 % (always the most frequent class: 75 %)"


@pytest.mark.parametrize("confusion", [None, [], [[0, 0], [0, 0]], "x", [3]])
def test_without_a_matrix_there_is_no_chance(confusion: Any) -> None:
    assert chance({"confusion": confusion}) is None
    assert not no_better_than_chance({"accuracy": 0.1, "confusion": confusion})


@pytest.mark.parametrize(
    ("accuracy", "confusion", "poor"),
    [(0.72, BALANCED, False), (0.69, BALANCED, True), (0.80, LOPSIDED, True)],
)
def test_two_standard_deviations_decide(accuracy: float, confusion: Any, poor: bool) -> None:
    assert no_better_than_chance(metrics(accuracy, 0.1, confusion)) is poor


def test_a_difference_has_its_sign() -> None:
    assert signed(0.012, 0.003, "%", 100.0) == "+1.20 ± 0.30 %"
    assert signed(-0.012, 0.003) == "−0.0120 ± 0.0030"
    assert signed(None, None) == "–"


def test_the_line_has_every_form_and_the_paired_difference(run: Any) -> None:
    line = accuracy_line(run.result)
    assert line.count("±") == 5 and "in brackets: less float, on the same events" in line
    less = run.result["metrics_minus_float"]["quantized"]
    assert signed(less["accuracy"], less["accuracy_err"], "%", 100.0) in line
    assert accuracy_line({}) == ""
