"""Thresholds for a rate: never above the target, and refused where the sample is too small."""

import numpy as np
import pytest

from triggerforge.errors import RateError
from triggerforge.trigger.curve import RateCurve
from triggerforge.trigger.threshold import smallest_rate, threshold_for, threshold_interval


@pytest.fixture
def exponential() -> RateCurve:
    score = np.random.default_rng(1).exponential(size=50_000)
    return RateCurve(score, np.ones(len(score)), 2340)


@pytest.mark.parametrize("target", [10.0, 100.0, 3000.0])
def test_the_truth_is_near_and_the_target_not_exceeded(
    exponential: RateCurve, target: float
) -> None:
    found = threshold_for(exponential, target, 10)
    assert found.rate.khz <= target
    assert exponential.step_rates[found.rate.events] > target  # one event more is too many
    left, right = threshold_interval(exponential, target, 0.9999)
    assert right is not None and left <= np.log(exponential.total_khz / target) <= right
    assert found.high is not None and left < found.low < found.value < found.high < right


def test_equal_scores_pass_together() -> None:
    coarse = RateCurve(np.repeat(np.arange(10.0), 100), np.ones(1000), 1000)
    found = threshold_for(coarse, coarse.total_khz * 0.25, 10)
    assert found.value == 8 and found.rate.events == 200


def test_the_smallest_rate_has_ten_events() -> None:
    curve = RateCurve(np.arange(1000.0), np.ones(1000), 1000)
    least = smallest_rate(curve, 10)
    assert least == pytest.approx(curve.total_khz / 100)
    assert threshold_for(curve, least, 10).rate.events == 10
    with pytest.raises(RateError, match=r"below 112\.5 kHz, the smallest .* 1000 background"):
        threshold_for(curve, least * 0.99, 10)


def test_a_heavy_event_in_the_tail_raises_the_smallest_rate() -> None:
    score, weight = np.arange(2000.0), np.ones(2000)
    light = smallest_rate(RateCurve(score, weight, 1000), 10)
    weight[-5] = 100.0
    assert smallest_rate(RateCurve(score, weight, 1000), 10) > 10 * light


def test_a_score_that_saturates_says_so() -> None:
    score = np.append(np.full(500, 15.0), np.arange(500.0) / 100)
    with pytest.raises(RateError, match="500 events share the highest score, 15, .*saturates"):
        threshold_for(RateCurve(score, np.ones(1000), 1000), 100.0, 10)


def test_a_tiny_sample_supports_nothing() -> None:
    with pytest.raises(RateError, match="fewer than 10 effective events"):
        threshold_for(RateCurve(np.arange(5.0), np.ones(5), 1000), 1.0, 10)


@pytest.mark.parametrize("target", [0.0, -1.0, np.nan, np.inf])
def test_a_target_is_a_positive_number(exponential: RateCurve, target: float) -> None:
    with pytest.raises(RateError, match="positive numbers"):
        threshold_for(exponential, target, 10)


def test_a_target_above_the_crossings_is_refused(exponential: RateCurve) -> None:
    with pytest.raises(RateError, match="rate of bunch crossings"):
        threshold_for(exponential, 1e6, 10)
