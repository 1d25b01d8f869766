"""Differences between two forms on the same events, held to a bootstrap of the metrics themselves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from triggerforge.training.differences import differences, paired_mean
from triggerforge.training.task import Task

CLASSES = ("q", "g", "t")
EVENTS, SAMPLES = 1500, 150


def two_forms(
    step: float, score: bool, seed: int = 3, negative: bool = False
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Outputs of a form with steps of `step` and noise of its own, of its reference; labels, weights."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(CLASSES), EVENTS)
    columns = y[:, None] / 1.5 if score else 1.2 * np.eye(len(CLASSES))[y]
    reference = columns + rng.normal(size=columns.shape)
    outputs = reference + rng.normal(scale=0.4, size=columns.shape)
    weight = rng.uniform(0.2, 1.8, EVENTS)
    if negative:
        weight[rng.uniform(size=EVENTS) < 0.1] *= -1
    return np.round(outputs / step) * step if step else outputs, reference, y, weight


def flat(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures of metrics, or of their differences, by name."""
    found = {f"auc {n}": v for n, v in record["auc"].items()}
    found |= {
        f"rejection {n} {e}": entry["value"]
        for n, points in record["rejection"].items()
        for e, entry in points.items()
    }
    return found | ({"accuracy": record["accuracy"]} if "accuracy" in record else {})


def errors(record: Mapping[str, Any]) -> dict[str, float]:
    found = {f"auc {n}": v for n, v in record["auc_err"].items()}
    found |= {
        f"rejection {n} {e}": entry["err"]
        for n, points in record["rejection"].items()
        for e, entry in points.items()
    }
    return found | ({"accuracy": record["accuracy_err"]} if "accuracy_err" in record else {})


@pytest.mark.parametrize(
    ("task", "step", "negative"),
    [
        (Task(CLASSES), 0.5, False),
        (Task(CLASSES), 0.0, True),
        (Task(CLASSES, ("q",)), 0.125, False),
    ],
    ids=["coarse classes", "weights of both signs", "anomaly score"],
)
def test_value_and_error_are_those_of_a_bootstrap(task: Task, step: float, negative: bool) -> None:
    outputs, reference, y, weight = two_forms(step, task.scores, negative=negative)
    found = differences(outputs, reference, y, weight, task)

    def change(kept: NDArray[Any]) -> dict[str, float]:
        mine, theirs = (
            flat(task.metrics(z[kept], y[kept], weight[kept])) for z in (outputs, reference)
        )
        both = {n: (mine[n], theirs[n]) for n in mine}
        return {n: np.nan if None in pair else pair[0] - pair[1] for n, pair in both.items()}

    assert found["events"] == EVENTS
    values = change(np.arange(EVENTS))
    known = {name: value for name, value in flat(found).items() if value is not None}
    assert len(known) >= len(values) - 2  # few background events pass in some rejections
    assert known == pytest.approx({n: values[n] for n in known}, rel=1e-6, abs=1e-9)
    rng = np.random.default_rng(8)
    drawn = [change(rng.integers(0, EVENTS, EVENTS)) for _ in range(SAMPLES)]
    for name in known:
        values_drawn = np.array([sample[name] for sample in drawn])
        assert np.isfinite(values_drawn).mean() > 0.98
        low, high = np.nanpercentile(values_drawn, [15.87, 84.13])
        assert errors(found)[name] == pytest.approx((high - low) / 2, rel=0.3), name


def test_the_paired_error_is_smaller_than_that_of_independent_samples() -> None:
    outputs, reference, y, weight = two_forms(0.0, score=False)
    task = Task(CLASSES)
    found = differences(outputs, reference, y, weight, task)
    alone = task.metrics(reference, y, weight)
    assert 0 < found["accuracy_err"] < alone["accuracy_err"]
    assert all(0 < found["auc_err"][c] < alone["auc_err"][c] for c in CLASSES)


@pytest.mark.parametrize("background", [(), ("q",)])
def test_the_same_outputs_differ_by_exactly_nothing(background: tuple[str, ...]) -> None:
    task = Task(CLASSES, background)
    outputs, _, y, weight = two_forms(0.25, task.scores)
    found = differences(outputs, outputs, y, weight, task)
    assert set(flat(found).values()) == {0.0} and set(errors(found).values()) == {0.0}


def test_two_events_that_change_sides_are_mcnemars() -> None:
    change = np.array([1.0, -1.0, 1.0] + [0.0] * 97)
    found = paired_mean(change, np.ones(100))
    assert found.value == pytest.approx(0.01)
    assert found.err == pytest.approx(np.sqrt(3 - 1 / 100) / 100)


def test_two_events_of_a_class_are_enough_for_figures() -> None:
    y = np.array([0] * 2 + [1] * 40 + [2] * 40)
    outputs = np.random.default_rng(0).normal(size=(len(y), 3))
    found = differences(outputs, outputs[:, ::-1], y, np.ones(len(y)), Task(CLASSES))
    values = [v for v in (*flat(found).values(), *errors(found).values()) if v is not None]
    assert np.isfinite(values).all() and len(values) > 8


def test_a_rejection_without_background_is_null() -> None:
    outputs, reference, y, weight = two_forms(0.0, score=False)
    outputs, reference = (z + 40 * np.eye(len(CLASSES))[y] for z in (outputs, reference))
    found = differences(outputs, reference, y, weight, Task(CLASSES))
    assert found["rejection"]["q"]["0.3"] == {"value": None, "err": None}
    assert found["accuracy"] == 0.0
