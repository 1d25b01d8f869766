"""What quantisation is judged by: accuracy, or, of a score, the same events at the same rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from triggerforge.compression.functional import ClassLoss, Events
from triggerforge.compression.goal import Goal, Sample
from triggerforge.compression.overlap import LARGEST_FRACTION, Overlap, supported_fractions
from triggerforge.compression.rate_loss import RateLoss
from triggerforge.config.compress import DistillConfig
from triggerforge.errors import ModelError
from triggerforge.training.task import Task

EVENTS = 20_000


@pytest.fixture(scope="module")
def exponential() -> tuple[np.ndarray, np.ndarray]:
    """Scores whose rate falls by a decade for each unit; half of them are the tail, with small weights."""
    random = np.random.default_rng(1)
    score = random.exponential(1 / np.log(10), EVENTS)
    weight = np.ones(EVENTS)
    tail = random.exponential(1 / np.log(10), EVENTS) + 2
    return np.concatenate([score[score < 2], tail]), np.concatenate(
        [weight[score < 2], np.full(EVENTS, 0.01)]
    )


def sample(score: np.ndarray, weight: np.ndarray) -> Sample:
    teacher = np.asarray(score, np.float32)[:, None]
    zeros = np.zeros(len(score), np.int64)
    return Sample(teacher, zeros, np.asarray(weight, np.float32), teacher)


def events(teacher: np.ndarray) -> Events:
    return sample(teacher, np.ones(len(teacher))).on_device()


class TestOverlap:
    def test_a_score_overlaps_with_what_orders_alike(
        self, exponential: tuple[np.ndarray, np.ndarray]
    ) -> None:
        score, weight = exponential
        overlap = Overlap.of(score, weight)
        assert overlap(score[:, None]) == pytest.approx(1, abs=1e-12)
        assert overlap(np.exp(score)[:, None] * 3 - 7) == pytest.approx(1, abs=1e-12)
        assert overlap(-score[:, None]) == 0

    def test_chance_shares_what_is_accepted(self) -> None:
        random = np.random.default_rng(2)
        score = random.normal(size=EVENTS)
        overlap = Overlap.of(score, np.ones(EVENTS))
        expected = overlap.fractions.mean()
        assert overlap(random.normal(size=(EVENTS, 1))) == pytest.approx(expected, abs=0.01)
        one_event = 1 / EVENTS  # the one at the threshold is accepted in part

        assert overlap(np.zeros((EVENTS, 1))) == pytest.approx(expected, abs=one_event)

    def test_it_follows_the_noise(self) -> None:
        random = np.random.default_rng(3)
        score = random.normal(size=EVENTS)
        overlap = Overlap.of(score, np.ones(EVENTS))
        noise = random.normal(size=EVENTS)
        found = [overlap((score + s * noise)[:, None]) for s in (0.01, 0.1, 0.5, 2)]
        assert found == sorted(found, reverse=True) and found[0] > 0.95 and found[-1] < 0.3

    def test_fractions_are_what_the_weights_support(
        self, exponential: tuple[np.ndarray, np.ndarray]
    ) -> None:
        score, weight = exponential
        fractions = supported_fractions(score, weight)
        assert fractions[-1] == pytest.approx(LARGEST_FRACTION)
        # twenty events of weight 0.01 among about EVENTS
        assert fractions[0] == pytest.approx(20 * 0.01 / weight.sum(), rel=0.01)

    def test_too_few_events_are_refused(self) -> None:
        with pytest.raises(ModelError, match="hold no 20 in their most anomalous 10 %"):
            supported_fractions(np.arange(100.0), np.ones(100))


class TestRateLoss:
    def test_it_measures_in_decades(self, exponential: tuple[np.ndarray, np.ndarray]) -> None:
        score, weight = exponential
        loss = RateLoss.of(score, weight)
        at = jnp.array([1.0, 1.5, 2.0, 3.0, 4.0])
        np.testing.assert_allclose(np.asarray(loss._of(at)), at, atol=0.1)

    def test_a_score_above_all_that_was_seen_counts_on(
        self, exponential: tuple[np.ndarray, np.ndarray]
    ) -> None:
        loss = RateLoss.of(*exponential)
        highest = float(loss.scores[-1])
        beyond = np.asarray(loss._of(jnp.array([highest, highest + 1, highest + 2])))
        assert (
            np.diff(beyond) == pytest.approx(np.diff(beyond)[0], rel=1e-4) and beyond[1] > beyond[0]
        )
        below = np.asarray(loss._of(jnp.array([0.0, 0.5, 1.0])))
        assert np.diff(below) == pytest.approx(np.diff(below)[0], rel=1e-3) and below[0] < below[2]

    def test_it_is_zero_at_the_teachers_score_and_grows(
        self, exponential: tuple[np.ndarray, np.ndarray]
    ) -> None:
        loss = RateLoss.of(*exponential)
        target = events(np.linspace(0.2, 4, 50))
        found = [float(loss(target.teacher + s, target)) for s in (0, 0.05, 0.3, 1)]
        assert found[0] == 0 and found == sorted(found)
        assert found[3] == pytest.approx(1, abs=0.3)  # a decade off
        gradient = jax.grad(lambda outputs: loss(outputs, target))(target.teacher + 0.5)
        assert (gradient > 0).all()

    def test_the_tail_is_learned_from(self, exponential: tuple[np.ndarray, np.ndarray]) -> None:
        score = np.random.default_rng(4).exponential(1 / np.log(10), EVENTS)
        weights = RateLoss.of(*exponential).weights(score)
        rare, common = score > 2.5, score < 0.5
        assert weights[rare].mean() > 5 * weights[common].mean()
        assert weights[rare].sum() < weights[common].sum()

    @pytest.mark.parametrize("score", [np.zeros(EVENTS), np.arange(EVENTS) % 3])
    def test_a_score_of_few_values_is_refused(self, score: np.ndarray) -> None:
        with pytest.raises(ModelError, match="the float model's score takes"):
            RateLoss.of(score, np.ones(EVENTS))


def test_classes_are_judged_by_accuracy() -> None:
    random = np.random.default_rng(5)
    y, weight = random.integers(0, 3, 500), random.uniform(0.5, 2, 500).astype(np.float32)
    logits = random.normal(size=(500, 3)).astype(np.float32)
    part = Sample(logits, y, weight, logits)
    goal = Goal.of(Task(("a", "b", "c")), DistillConfig(), part, part)
    assert goal.measured == "accuracy" and isinstance(goal.loss, ClassLoss)
    assert goal.train is part
    assert goal.measure(logits) == np.average(logits.argmax(1) == y, weights=weight)


def test_a_score_is_judged_by_overlap(exponential: tuple[np.ndarray, np.ndarray]) -> None:
    part = sample(*exponential)
    goal = Goal.of(Task(("a", "b"), ("a",)), DistillConfig(), part, part)
    assert goal.measured == "overlap" and goal.measure(part.teacher) == pytest.approx(1)
    assert goal.validation is part and not np.array_equal(goal.train.weight, part.weight)
