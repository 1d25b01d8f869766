"""Schedules begin and end where the configuration says, and never turn back."""

import itertools

import pytest
from pydantic import ValidationError

from triggerforge.compression import schedule
from triggerforge.config.compress import CompressConfig

CONFIG = CompressConfig(
    epochs=101,
    beta_start=1e-7,
    beta_end=1e-4,
    warmup=0.1,
    lr=1e-2,
    lr_end=1e-4,
    pruning={"method": "magnitude", "fraction": 0.6, "start": 0.2, "end": 0.8},
)


def test_beta_rises_exponentially_after_the_warm_up() -> None:
    values = [schedule.beta(CONFIG, e) for e in range(101)]
    assert values[:11] == pytest.approx([1e-7] * 11)
    assert values[-1] == pytest.approx(1e-4)
    steps = [b / a for a, b in itertools.pairwise(values[10:])]
    assert steps == pytest.approx([1000 ** (1 / 90)] * 90)


def test_rate_falls_once_a_cycle() -> None:
    values = [schedule.learning_rate(CONFIG, e) for e in range(101)]
    assert values[0] == pytest.approx(1e-2)
    assert values[50] == pytest.approx((1e-2 + 1e-4) / 2)
    assert values[-1] == pytest.approx(1e-4)
    two = CONFIG.model_copy(update={"cycles": 2})
    assert schedule.learning_rate(two, 50) == pytest.approx(1e-2)
    assert schedule.learning_rate(two, 49) < 2e-4


def test_pruning_rises_within_its_window() -> None:
    values = [schedule.pruned_fraction(CONFIG, e) for e in range(101)]
    assert values[20] == 0 and values[80] == values[-1] == 0.6
    assert values == sorted(values)
    assert values[50] == pytest.approx(0.6 * 7 / 8)


@pytest.mark.parametrize("method", ["none", "structured"])
def test_only_magnitude_pruning_has_a_schedule(method: str) -> None:
    pruning = CONFIG.pruning.model_copy(update={"method": method})
    assert schedule.pruned_fraction(CONFIG.model_copy(update={"pruning": pruning}), 100) == 0


def test_one_epoch_is_the_last() -> None:
    one = CONFIG.model_copy(update={"epochs": 1})
    assert schedule.beta(one, 0) == pytest.approx(1e-4)
    assert schedule.learning_rate(one, 0) == pytest.approx(1e-4)
    assert schedule.pruned_fraction(one, 0) == 0.6


@pytest.mark.parametrize(
    "bad",
    [
        {"beta_start": 1e-3, "beta_end": 1e-4},
        {"epochs": 0},
        {"lr": 0},
        {"pruning": {"start": 0.9, "end": 0.1}},
        {"pruning": {"fraction": 1.0}},
        {"target": {"max_ebops": -1}},
        {"distill": {"weight": 2}},
        {"method": "qat"},
        {"epoch": 3},
    ],
)
def test_bad_configuration_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CompressConfig(**bad)
