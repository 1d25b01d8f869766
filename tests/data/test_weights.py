"""The rule for weights of both signs, against brute force and the meaning of each function."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggerforge.data.weights import effective, magnitudes, rising, share
from triggerforge.errors import DataError

sums = st.lists(st.integers(-8, 12), min_size=2, max_size=9).map(lambda v: [0, *np.cumsum(v)])


@given(sums.filter(lambda s: s[-1] > 0))
def test_sums_that_fall_become_the_nearest_that_do_not(values: list[int]) -> None:
    """Min-max formula of isotonic regression, by loops; then the ends."""
    got = rising(np.array(values))
    for i, found in enumerate(got):
        best = max(
            min(sum(values[a : b + 1]) / (b + 1 - a) for b in range(i, len(values)))
            for a in range(i + 1)
        )
        assert found == pytest.approx(min(max(best, 0), values[-1]), abs=1e-12)
    assert all(b >= a for a, b in pairwise(got))
    assert (got[0], got[-1]) == (0, values[-1])


@given(sums.filter(lambda s: s[-1] > 0), st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_what_is_brought_back_is_no_further_from_any_true_curve(
    values: list[int], steps: list[int]
) -> None:
    true = np.minimum(np.concatenate([[0], np.cumsum(steps)])[: len(values)], values[-1])
    before, after = (
        np.square(v - true).sum() for v in (np.array(values), rising(np.array(values)))
    )
    assert after <= before + 1e-9


def test_without_negative_weights_nothing_changes_in_any_bit() -> None:
    rng = np.random.default_rng(1)
    weight = rng.exponential(size=1000).astype(np.float32)
    cumulative = np.concatenate([[0.0], np.cumsum(weight)])
    assert rising(cumulative) is cumulative or np.array_equal(rising(cumulative), cumulative)
    assert magnitudes(weight, rng.integers(0, 3, 1000), "abc", "test") is weight


def test_magnitudes_keep_the_sum_of_every_class() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 3000)
    weight = rng.normal(0.4, 1.0, 3000)
    found = magnitudes(weight, y, "abc", "training")
    assert (found > 0).all()
    for label in range(3):
        of_class = y == label
        assert found[of_class].sum() == pytest.approx(weight[of_class].sum())
        assert np.ptp(found[of_class] / np.abs(weight[of_class])) < 1e-12


def test_a_class_without_a_positive_sum_is_named() -> None:
    y, weight = np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 1.0, -1.5])
    with pytest.raises(DataError, match=r"the 2 training events of class 'q' sum to -0\.5"):
        magnitudes(weight, y, ("g", "q", "none of it"), "training")


def test_shares_and_effective_numbers() -> None:
    np.testing.assert_array_equal(share([-1.0, 0.5, 3.0], 2.0), [0, 0.25, 1])
    assert effective(np.array([2.0, 2.0, -1.0])) == pytest.approx(9 / 9)
    assert effective(np.ones(7)) == 7
