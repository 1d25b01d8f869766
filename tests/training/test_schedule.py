"""Learning rates by step."""

import pytest

from triggerforge.config.train import TrainConfig
from triggerforge.training.schedule import learning_rate


def rates(steps: int = 100, **settings: object) -> list[float]:
    config = TrainConfig.model_validate({"lr": 0.1, **settings})
    return [learning_rate(config, s, steps) for s in range(steps)]


def test_constant_after_warmup() -> None:
    lr = rates(schedule="constant", warmup=0.1)
    assert lr[:10] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert set(lr[10:]) == {0.1}


def test_cosine_falls_to_nothing() -> None:
    lr = rates(schedule="cosine", warmup=0)
    assert lr[0] == 0.1 and lr[50] == pytest.approx(0.05)
    assert lr == sorted(lr, reverse=True) and 0 < lr[-1] < 1e-4


def test_one_cycle_rises_and_falls() -> None:
    lr = rates(schedule="onecycle")
    assert lr[0] == pytest.approx(0.004) and lr[30] == 0.1 == max(lr)
    assert lr[:31] == sorted(lr[:31]) and lr[30:] == sorted(lr[30:], reverse=True)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_still_train(schedule: str, steps: int) -> None:
    assert all(0 < lr <= 0.1 for lr in rates(steps, schedule=schedule))
