"""The parts of all crossings exclude each other, exhaust them, and weigh what they should."""

import numpy as np
import pytest

from triggerforge.data.generator.l1.strata import Strata

SIGMA = np.array([77.0, 0.55, 0.15, 0.02, 1e-3])


@pytest.mark.parametrize("pileup", [0.5, 60.0, 200.0])
def test_probabilities_sum_to_one(pileup: float) -> None:
    strata = Strata.from_cross_sections(SIGMA, pileup)
    assert strata.means.sum() == pytest.approx(pileup)
    assert strata.probabilities.sum() == pytest.approx(1.0, abs=1e-12)


def test_weights_sum_to_the_crossings_that_they_stand_for() -> None:
    strata = Strata.from_cross_sections(SIGMA, 60.0)
    events = np.array([500, 100, 100, 30, 1])
    weights = strata.weights(events)
    assert weights[0] == 1.0
    assert (weights * events).sum() == pytest.approx(500 / strata.probabilities[0])


@pytest.mark.parametrize("pileup", [5.0, 200.0])
def test_weighted_strata_close_on_plain_crossings(pileup: float) -> None:
    """Mean and spread of the numbers of collisions are those of independent Poisson numbers."""
    strata = Strata.from_cross_sections(SIGMA, pileup)
    rng = np.random.default_rng(3)
    size = 20_000
    numbers = [strata.draw(part, size, rng) for part in range(len(SIGMA))]
    weights = np.repeat(strata.weights(np.full(len(SIGMA), size)), size)
    whole = np.concatenate(numbers)
    for k, mean in enumerate(strata.means):
        for power, expected in ((1, mean), (2, mean + mean**2)):
            values = whole[:, k].astype(float) ** power
            found = (weights * values).sum() / weights.sum()
            error = np.sqrt((weights**2 * (values - found) ** 2).sum()) / weights.sum()
            assert abs(found - expected) < 4 * error + 1e-12


def test_a_crossing_belongs_to_its_last_stratum() -> None:
    strata = Strata.from_cross_sections(SIGMA, 60.0)
    for part in range(1, len(SIGMA)):
        numbers = strata.draw(part, 500, np.random.default_rng(part))
        assert (numbers[:, part] >= 1).all()
        assert not numbers[:, part + 1 :].any()
    soft = strata.draw(0, 500, np.random.default_rng(0))
    assert not soft[:, 1:].any()
    assert soft.mean(axis=0)[0] == pytest.approx(strata.means[0], rel=0.03)


def test_rare_strata_have_one_collision() -> None:
    strata = Strata.from_cross_sections(np.array([77.0, 1e-12]), 60.0)
    assert (strata.draw(1, 1000, np.random.default_rng(0))[:, 1] == 1).all()
