"""The Pareto front and the choice from it."""

import re

import numpy as np
import pytest

from triggerforge.compression.pareto import Candidate, add, choose
from triggerforge.config.compress import TargetConfig
from triggerforge.errors import BudgetError

FRONT = (
    Candidate(0.80, 8000, 1),
    Candidate(0.79, 4000, 2),
    Candidate(0.75, 1000, 3),
)


def test_front_holds_exactly_what_no_other_dominates() -> None:
    random = np.random.default_rng(3)
    points = [
        Candidate(float(a), float(e), n)
        for n, (a, e) in enumerate(
            zip(random.integers(0, 20, 300), random.integers(0, 20, 300), strict=True)
        )
    ]
    front: tuple[Candidate, ...] = ()
    for point in points:
        front = add(front, point)
    values = {(p.accuracy, p.ebops) for p in points}
    best = {v for v in values if not any(o != v and o[0] >= v[0] and o[1] <= v[1] for o in values)}
    assert {(c.accuracy, c.ebops) for c in front} == best
    assert [c.ebops for c in front] == sorted((c.ebops for c in front), reverse=True)


def test_of_equals_the_first_stays() -> None:
    assert add(FRONT, Candidate(0.79, 4000, 9)) == FRONT


@pytest.mark.parametrize(
    ("target", "epoch"),
    [
        ({"max_ebops": 4000}, 2),
        ({"max_ebops": 3999}, 3),
        ({"max_ebops": 1e9}, 1),
        ({"max_accuracy_loss": 0}, 1),
        ({"max_accuracy_loss": 1.5}, 2),
        ({"max_accuracy_loss": 50}, 3),
        ({"max_accuracy_loss": 2, "max_ebops": 5000}, 2),
        ({"points_per_halving": 0.01}, 1),
        ({"points_per_halving": 1.5}, 2),
        ({"points_per_halving": 30}, 3),
    ],
)
def test_target_picks(target: dict[str, float], epoch: int) -> None:
    choice = choose(FRONT, TargetConfig(**target), accuracy=0.80)
    assert not choice.missed
    assert choice.candidate.epoch == epoch


@pytest.mark.parametrize(
    ("target", "nearest"),
    [
        ({"max_ebops": 900}, 3),
        ({"max_accuracy_loss": 1}, 1),
        ({"max_accuracy_loss": 4, "max_ebops": 2000}, 2),
    ],
)
def test_missed_target_names_the_nearest(target: dict[str, float], nearest: int) -> None:
    choice = choose(FRONT, TargetConfig(**target), accuracy=0.82)
    assert choice.candidate.epoch == nearest
    assert re.search(rf"{next(iter(target))}.*epoch {nearest}\)", choice.missed)


def test_empty_front_is_an_error() -> None:
    with pytest.raises(BudgetError, match="no epoch"):
        choose((), TargetConfig(), accuracy=0.8)
