"""Rates of a cut: known fractions, ties, limits, and what is refused."""

import numpy as np
import pytest

from triggerforge.errors import DataError, RateError
from triggerforge.trigger.curve import REVOLUTION_KHZ, RateCurve


def curve(score: object, weight: object = None, bunches: int = 100) -> RateCurve:
    values = np.asarray(score, np.float64)
    return RateCurve(
        values, np.ones(len(values)) if weight is None else np.asarray(weight), bunches
    )


def test_the_rate_is_the_accepted_part_of_the_crossings() -> None:
    found = curve(np.arange(1000)).rate(900.0)
    assert found.khz == pytest.approx(REVOLUTION_KHZ * 100 * 0.1)
    assert found.err == pytest.approx(REVOLUTION_KHZ * 100 * np.sqrt(0.1 * 0.9 / 1000))
    assert found.low < found.khz < found.high
    assert (found.events, found.effective, found.limits) == (100, pytest.approx(100), {})


def test_a_score_equal_to_the_threshold_passes() -> None:
    assert curve([1, 2, 2, 3]).rate(2.0).events == 3
    np.testing.assert_array_equal(curve([1, 2, 2, 3]).steps, [1, 3, 4])


def test_weights_count() -> None:
    found = curve([5, 4, 3, 2], [0.5, 0.5, 1.0, 8.0]).rate(4.0)
    assert found.khz == pytest.approx(REVOLUTION_KHZ * 100 * 0.1)
    assert found.effective == pytest.approx(2)


def test_where_none_passes_there_are_limits() -> None:
    found = curve(np.arange(1000)).rate(5000.0)
    assert found.khz == 0 and found.err is None and found.low == 0
    total = REVOLUTION_KHZ * 100
    assert found.limits["0.95"] == pytest.approx(total * (1 - 0.05**0.001))
    assert found.limits["0.68"] == pytest.approx(total * (1 - 0.32**0.001))


@pytest.mark.parametrize(
    ("score", "weight", "words"),
    [
        ([], [], "no events"),
        ([1.0, np.nan], [1, 1], r"1 of 2 scores are NaN.*event 1"),
        ([1.0, np.inf], [1, 1], "infinite"),
        ([1.0, 2.0], [1, np.nan], "weights are NaN"),
        ([1.0, 2.0], [1, -1.5], r"the 2 weights sum to -0\.5"),
        ([1.0, 2.0], [0, 0], "the 2 weights sum to 0"),
        ([1.0, 2.0], [1], "must be"),
    ],
)
def test_bad_scores_and_weights_are_refused(score: object, weight: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        curve(score, weight)


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_threshold_is_a_number(threshold: float) -> None:
    with pytest.raises(RateError, match="give a finite one"):
        curve([1, 2]).rate(threshold)


def test_the_rate_of_signed_weights_is_that_of_their_sum_and_rises() -> None:
    rng = np.random.default_rng(1)
    score, weight = rng.normal(size=3000), np.where(rng.random(3000) < 0.3, -1.0, 1.0)
    found = curve(score, weight)
    assert (np.diff(found.step_rates) >= 0).all()
    assert found.step_rates[-1] == pytest.approx(found.total_khz)
    for threshold in (-1.0, 0.0, 1.0):
        rate = found.rate(threshold)
        signed = weight[score >= threshold].sum() / weight.sum()
        assert rate.khz == pytest.approx(found.total_khz * signed, rel=0.03)
        passed = score >= threshold
        spread = (1 - signed) ** 2 * passed.sum() + signed**2 * (~passed).sum()
        assert rate.err == pytest.approx(found.total_khz * np.sqrt(spread) / weight.sum(), rel=0.03)
        assert rate.low <= rate.khz <= rate.high
        assert rate.effective == pytest.approx(weight[passed].sum() ** 2 / passed.sum(), rel=0.06)


def test_a_tail_of_negative_weights_has_no_rate_but_a_limit() -> None:
    found = curve(np.arange(1000), np.where(np.arange(1000) < 990, 1.0, -1.0)).rate(995.0)
    assert (found.khz, found.low, found.err) == (0, 0, None)
    assert 0 < found.limits["0.68"] < found.limits["0.95"]
