"""A reason is said once."""

from triggerforge.reasons import said_once


def test_equal_reasons_are_one() -> None:
    found = said_once([("a", "no tool"), ("b", "other"), ("c", "no tool"), ("a", "no tool")])
    assert found == [("a, c", "no tool"), ("b", "other")]


def test_reasons_that_differ_in_numbers_list_them() -> None:
    pairs = [("x", "below 1.5 kHz of 600"), ("y", "below 2e-3 kHz of 600"), ("z", "below 7 kHz")]
    assert said_once(pairs) == [("x, y", "below 1.5 / 2e-3 kHz of 600"), ("z", "below 7 kHz")]


def test_nothing_gives_nothing() -> None:
    assert said_once([]) == []
