"""Numbers are printed with their unit, rounded with their error, and a dash where there is none."""

from typing import Any

import pytest

from triggerforge.report import numbers

NOTHING = [None, float("nan"), float("inf"), "12", True]


@pytest.mark.parametrize("value", NOTHING)
def test_what_is_no_number_is_a_dash(value: Any) -> None:
    for show in (numbers.number, numbers.count, numbers.percent, numbers.microseconds):
        assert show(value) == numbers.DASH
    assert numbers.with_error(value, 0.1) == numbers.DASH
    assert numbers.share(value, 10) == numbers.DASH
    assert numbers.share(1, value) == numbers.DASH
    assert numbers.hertz(value) == numbers.DASH


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.76123, 0.00134, "0.7612 ± 0.0013"),
        (312.4, 21.3, "312 ± 21"),
        (312.4, 213.0, "312 ± 213"),
        (0.5, None, "0.5000"),
        (0.5, float("nan"), "0.5000"),
        (1.0, 0.0, "1"),
        (-2.34, 0.21, "-2.34 ± 0.21"),
    ],
)
def test_value_and_error_are_rounded_together(value: float, error: Any, shown: str) -> None:
    assert numbers.with_error(value, error) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (5.0, "5"),
        (1234567, "1,234,567"),
        (0.01234, "0.0123"),
        (1.5, "1.50"),
        (1.53e-5, "1.53·10⁻⁵"),
    ],
)
def test_significant_digits(value: float, shown: str) -> None:
    assert numbers.number(value) == shown


def test_percent_and_share() -> None:
    assert numbers.percent(0.7612, 0.0013) == "76.12 ± 0.13 %"
    assert numbers.share(5184, 1_728_000) == "0.300 %"
    assert numbers.share(1, 1_728_000) == "<0.01 %"
    assert numbers.share(0, 10) == "0 %"
    assert numbers.share(1, 0) == numbers.DASH


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.025, "25.0 ns"), (3.1, "3.10 µs"), (1500.0, "1.50 ms"), (2.5e6, "2.50 s"), (0.0, "0 ns")],
)
def test_times_choose_their_unit(value: float, shown: str) -> None:
    assert numbers.microseconds(value) == shown


def test_rates_choose_their_unit() -> None:
    assert numbers.hertz(1.05e5) == "105 kHz"
    assert numbers.hertz(2.0e8) == "200 MHz"
