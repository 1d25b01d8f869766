"""Intervals: the known ones where there are no weights, sensible ones where there are."""

import numpy as np
import pytest
from hist.intervals import clopper_pearson_interval, poisson_interval
from scipy.stats import binom

from triggerforge.trigger.intervals import ONE_SIGMA, Method, Tally, belief, interval, upper_limit


def counts(passed: object, total: float, weight: float = 1.0) -> Tally:
    """Tallies of events of equal weight."""
    k = np.asarray(passed, np.float64)
    square = weight**2
    return Tally(weight * k, square * k, weight * (total - k), square * (total - k), weight + 0 * k)


@pytest.mark.parametrize("level", [ONE_SIGMA, 0.95])
@pytest.mark.parametrize("weight", [1.0, 0.01, 30.0])
def test_equal_weights_give_clopper_pearson(level: float, weight: float) -> None:
    k = np.array([0.0, 1, 3, 50, 99, 100])
    found = interval(counts(k, 100, weight), level, "clopper-pearson")
    np.testing.assert_allclose(found, clopper_pearson_interval(k, 100 + 0 * k, level), rtol=1e-9)


def test_mid_p_is_where_half_of_the_observed_count_belongs_to_the_tail() -> None:
    k, n = np.array([2.0, 10, 60]), 100
    low, high = interval(counts(k, n), 0.95)
    np.testing.assert_allclose(binom.sf(k, n, low) + binom.pmf(k, n, low) / 2, 0.025, rtol=1e-6)
    np.testing.assert_allclose(binom.cdf(k - 1, n, high) + binom.pmf(k, n, high) / 2, 0.025)


def test_few_of_many_are_garwoods_interval() -> None:
    k, n = np.array([1.0, 4, 30]), 1e9
    found = n * np.array(interval(counts(k, n), ONE_SIGMA, "clopper-pearson"))
    np.testing.assert_allclose(found, poisson_interval(k, None, ONE_SIGMA), rtol=1e-6)


@pytest.mark.parametrize("method", ["mid-p", "clopper-pearson"])
def test_the_ends_are_where_the_belief_says(method: Method) -> None:
    rng = np.random.default_rng(3)
    weight = rng.exponential(size=400)
    tally = Tally.of(np.arange(400) < 15, weight)
    low, high = interval(tally, 0.9, method)
    assert belief(tally, float(low), method)[0] == pytest.approx(0.05)
    assert belief(tally, float(high), method)[1] == pytest.approx(0.95)
    assert 0 < low < tally.fraction < high < 1


def test_the_error_of_weighted_events_is_their_spread() -> None:
    """Two parts of known acceptance, a thousand times: pulls have a width of one."""
    rng = np.random.default_rng(1)
    weight = np.repeat([1.0, 0.01], [2000, 500])
    accept = np.repeat([0.05, 0.6], [2000, 500])
    truth = (weight * accept).sum() / weight.sum()
    pulls = []
    for _ in range(1000):
        tally = Tally.of(rng.random(2500) < accept, weight)
        pulls.append((tally.fraction - truth) / tally.error)
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)


def test_the_error_is_binomial_without_weights_and_sum_w2_for_small_fractions() -> None:
    assert counts(30, 100).error == pytest.approx(np.sqrt(0.3 * 0.7 / 100))
    weight = np.concatenate([np.array([3.0, 5.0]), np.ones(100_000)])
    tally = Tally.of(np.arange(len(weight)) < 2, weight)
    assert tally.error == pytest.approx(np.sqrt(34) / weight.sum(), rel=1e-3)
    assert tally.effective == pytest.approx(64 / 34)


def test_limits_where_none_passes() -> None:
    tally = Tally.of(np.zeros(1000, bool), np.ones(1000))
    assert upper_limit(tally, 0.95) == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert upper_limit(tally, 0.95) > upper_limit(tally, 0.68)
    assert interval(tally)[0] == 0 and tally.effective == 0
    heavy = Tally.of(np.zeros(1000, bool), np.append(np.ones(999), 50.0))
    assert upper_limit(heavy, 0.95) > 10 * upper_limit(tally, 0.95)


def test_where_all_pass_the_upper_end_is_one() -> None:
    low, high = interval(Tally.of(np.ones(20, bool), np.ones(20)))
    assert 0.9 < low < 1 and high == 1
    assert upper_limit(Tally.of(np.ones(20, bool), np.ones(20)), 0.95) == 1


def test_a_heavy_event_nearby_widens_the_interval() -> None:
    light = interval(Tally(1.0, 0.01, 99.0, 0.99, 0.01))
    heavy = interval(Tally(1.0, 0.01, 99.0, 0.99, 1.0))
    assert heavy[1] - heavy[0] > 1.3 * (light[1] - light[0])
