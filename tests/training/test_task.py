"""What outputs mean: classes, or one anomaly score of which signals are told apart."""

import numpy as np
import pytest

from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset
from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.metrics import auc, rejection
from triggerforge.training.task import Task, summary

CLASSES = ("soft", "hard", "tt", "susy")
SCORE = Task(CLASSES, ("soft", "hard"))


@pytest.fixture(scope="module")
def events() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    y = np.arange(4000) % 4
    score = random.normal(size=4000) + np.array([0.0, 0.2, 1.0, 2.0])[y]
    return score[:, None], y, random.uniform(0.1, 2, 4000)


def test_outputs_and_signals() -> None:
    told = Task(CLASSES)
    assert told.outputs == CLASSES and told.signals == () and not told.scores
    assert SCORE.outputs == ("anomaly",) and SCORE.signals == ("tt", "susy") and SCORE.scores
    assert SCORE.is_background(np.array([0, 1, 2, 3])).tolist() == [True, True, False, False]


def test_only_background_is_learned_from() -> None:
    feature = InputFeature("f", "", 0.0, 0, FixedFormat.parse("ap_fixed<8,4,RND,SAT>"))
    x, y = np.arange(8, dtype=np.float32)[:, None], np.arange(8) % 4
    everything = Dataset(x, y, np.ones(8, np.float32), InputContract((feature,), (1,)), CLASSES)
    assert SCORE.learned_from(everything).x[:, 0].tolist() == [0, 1, 4, 5]
    assert Task(CLASSES).learned_from(everything) is everything


def test_each_signal_is_judged_against_background_alone(
    events: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    score, y, weight = events
    found = SCORE.metrics(score, y, weight)
    assert set(found) == {"auc", "auc_err", "rejection"} and set(found["auc"]) == {"tt", "susy"}
    kept = y != 3
    area, error = auc(score[kept, 0], y[kept] == 2, weight[kept])
    assert found["auc"]["tt"] == area and found["auc_err"]["tt"] == error
    assert found["rejection"]["tt"]["0.3"] == rejection(
        score[kept, 0], y[kept] == 2, weight[kept], 0.3
    )
    moved = score.copy()
    moved[y == 3] = 50
    assert SCORE.metrics(moved, y, weight)["auc"]["tt"] == area
    assert summary(found).startswith(f"AUC tt {area:.4f} ± {error:.4f}, susy")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda s, y, w: (np.hstack([s, s]), y, w), "one logit for each of"),
        (lambda s, y, w: (np.where(s > 2, np.nan, s), y, w), "'anomaly score' in event"),
        (lambda s, y, w: (s[y != 3], y[y != 3], w[y != 3]), "no events.* of susy"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    events: tuple[np.ndarray, np.ndarray, np.ndarray], spoil: object, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        SCORE.metrics(*spoil(*events))  # type: ignore[operator]
