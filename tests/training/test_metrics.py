"""Metrics against scikit-learn, closed forms, and their own scatter over many samples."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from triggerforge.errors import DataError
from triggerforge.training.metrics import (
    auc,
    classification_metrics,
    confusion,
    rejection,
    roc,
    scores,
)
from triggerforge.training.task import summary

Sample = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


def sample(events: int, seed: int = 0, classes: int = 3, step: float = 0.0) -> Sample:
    """Logits that know the class a little; with `step`, on a grid, so that there are ties."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, events)
    logits = rng.normal(size=(events, classes)) + 1.5 * np.eye(classes)[y]
    if step:
        logits = np.round(logits / step) * step
    return logits, y, rng.uniform(0.2, 2.0, events)


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_auc_is_that_of_scikit_learn(step: float) -> None:
    logits, y, weight = sample(3000, step=step)
    metrics = classification_metrics(logits, y, weight, "abc")
    for c, name in enumerate("abc"):
        expected = roc_auc_score(y == c, scores(logits, c), sample_weight=weight)
        assert metrics["auc"][name] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_the_scatter_over_samples(weighted: bool) -> None:
    values: dict[str, list[float]] = {"acc": [], "auc": [], "rej": []}
    errors: dict[str, list[float]] = {"acc": [], "auc": [], "rej": []}
    for seed in range(300):
        logits, y, weight = sample(600, seed)
        if not weighted:
            weight = np.ones_like(weight)
        m = classification_metrics(logits, y, weight, "abc")
        point = m["rejection"]["b"]["0.5"]
        for key, value, error in (
            ("acc", m["accuracy"], m["accuracy_err"]),
            ("auc", m["auc"]["b"], m["auc_err"]["b"]),
            ("rej", 1 / point["value"], point["err"] / point["value"] ** 2),
        ):
            values[key].append(value)
            errors[key].append(error)
    assert np.mean(errors["acc"]) == pytest.approx(np.std(values["acc"]), rel=0.15)
    assert np.mean(errors["auc"]) == pytest.approx(np.std(values["auc"]), rel=0.15)
    # the binomial error leaves out that the cut moves with the signal sample
    assert 0.5 < np.mean(errors["rej"]) / np.std(values["rej"]) < 1.0


def test_auc_error_in_closed_form() -> None:
    """Two signal events above one of two background events each, by hand."""
    score = np.array([3.0, 1.0, 2.0, 0.0])
    signal = np.array([True, True, False, False])
    area, error = auc(score, signal, np.ones(4))
    assert area == 0.75
    assert error == pytest.approx(np.sqrt(0.125 / 2 + 0.125 / 2))


def test_rejection_of_a_known_curve() -> None:
    """Background uniform in [0, 1], signal uniform in [0.9, 1.9]: 30 % of signal lie above 1.6."""
    background = (np.arange(1000) + 0.5) / 1000
    signal = 0.9 + (np.arange(1000) + 0.5) / 1000
    score = np.concatenate([background, signal])
    truth = np.repeat([False, True], 1000)
    clean = rejection(score, truth, np.ones(2000), 0.3)
    assert clean["value"] is None and clean["err"] is None
    assert clean["lower_limit_95"] == pytest.approx(1000 / 2.9957, rel=1e-3)
    loose = rejection(score, truth, np.ones(2000), 0.95)  # the cut at 0.95: 5 % of background
    assert loose["value"] == pytest.approx(20, rel=0.03)
    assert loose["err"] == pytest.approx(20 * np.sqrt(0.95 / 50), rel=0.05)
    assert "lower_limit_95" not in loose


def test_scaling_all_weights_changes_nothing() -> None:
    logits, y, weight = sample(500)
    small, large = (classification_metrics(logits, y, weight * f, "abc") for f in (1, 1e4))
    assert small["accuracy_err"] == pytest.approx(large["accuracy_err"])
    assert small["auc_err"] == pytest.approx(large["auc_err"])


def test_certain_answers_give_plain_json() -> None:
    y = np.arange(300) % 3
    logits = 1e4 * np.eye(3)[y]
    metrics = classification_metrics(logits, y, np.ones(300), "abc")
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["accuracy"] == 1 and metrics["auc"] == {"a": 1, "b": 1, "c": 1}
    assert metrics["rejection"]["a"]["0.3"]["value"] is None
    assert "accuracy 1.0000 ± 0.0000; AUC a 1.0000" in summary(metrics)


def test_large_logits_keep_their_order() -> None:
    logits = np.array([[200.0, 0.0], [300.0, 0.0], [-300.0, 0.0]])
    assert list(scores(logits, 0)) == [200, 300, -300]


def test_confusion_counts_weights() -> None:
    logits = np.array([[1.0, 0], [0, 1], [0, 1]])
    table = confusion(logits, np.array([0, 0, 1]), np.array([2.0, 3.0, 5.0]))
    assert table.tolist() == [[2, 3], [0, 5]]


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_roc_is_that_of_scikit_learn(step: float) -> None:
    logits, y, weight = sample(400, step=step)
    signal, background = roc(logits, y, weight, 1)
    fpr, tpr, _ = roc_curve(
        y == 1, scores(logits, 1), sample_weight=weight, drop_intermediate=False
    )
    np.testing.assert_allclose(signal, tpr, atol=1e-12)
    np.testing.assert_allclose(background, fpr, atol=1e-12)
    assert (signal[0], background[0], signal[-1], background[-1]) == (0, 0, 1, 1)
    assert (np.diff(signal) >= 0).all() and (np.diff(background) >= 0).all()
    area = np.trapezoid(signal, background)
    assert area == pytest.approx(classification_metrics(logits, y, weight, "abc")["auc"]["b"])


def test_bad_input_is_named() -> None:
    logits, y, weight = sample(90)
    with pytest.raises(DataError, match=r"logits of shape \(90, 3\)"):
        classification_metrics(logits, y, weight, "ab")
    with pytest.raises(DataError, match="1 logits are NaN or infinite, the first of class 'b'"):
        bad = logits.copy()
        bad[7, 1] = np.nan
        classification_metrics(bad, y, weight, "abc")
    with pytest.raises(DataError, match=r"no events, .* of c \(0\) among"):
        keep = y != 2
        classification_metrics(logits[keep], y[keep], weight[keep], "abc")


def signed_sample(events: int, seed: int, negative: float = 0.3) -> Sample:
    """As `sample`, with weights of ±1 that do not depend on the rest."""
    logits, y, _ = sample(events, seed)
    rng = np.random.default_rng([seed, 1])
    return logits, y, np.where(rng.random(events) < negative, -1.0, 1.0)


@pytest.mark.parametrize("events", [12, 30, 200])
@pytest.mark.parametrize("seed", range(20))
def test_with_negative_weights_every_figure_is_in_its_range(events: int, seed: int) -> None:
    logits, y, weight = signed_sample(events, seed)
    if (np.bincount(y, weight, minlength=3) <= 0).any():
        with pytest.raises(DataError, match=r"no more than 0, of [abc] \("):
            classification_metrics(logits, y, weight, "abc")
        return
    metrics = classification_metrics(logits, y, weight, "abc")
    assert 0 <= metrics["accuracy"] <= 1 and metrics["accuracy_err"] >= 0
    for name in "abc":
        assert 0 <= metrics["auc"][name] <= 1 and metrics["auc_err"][name] >= 0
        for point in metrics["rejection"][name].values():
            assert point["value"] is None or point["value"] >= 1
        for curve in roc(logits, y, weight, "abc".index(name)):
            assert (np.diff(curve) >= 0).all() and (curve[0], curve[-1]) == (0, 1)


def test_negative_weights_count_with_their_sign() -> None:
    """Events of a process that is subtracted again leave the figures of what is left."""
    logits, y, _ = sample(60_000, 1)
    rng = np.random.default_rng(2)
    others = rng.normal(size=(20_000, 3)) - 2 * np.eye(3)[rng.integers(0, 3, 20_000)]
    theirs = rng.integers(0, 3, 20_000)
    again = rng.permutation(20_000)  # the same distribution, not the same events
    more = np.concatenate([logits, others, others[again] + 1e-9])
    labels = np.concatenate([y, theirs, theirs[again]])
    weight = np.concatenate([np.ones(len(y)), np.ones(20_000), -np.ones(20_000)])
    plain = classification_metrics(logits, y, np.ones(len(y)), "abc")
    signed = classification_metrics(more, labels, weight, "abc")
    assert signed["accuracy"] == pytest.approx(plain["accuracy"], abs=1e-12)
    for name in "abc":
        assert signed["auc"][name] == pytest.approx(plain["auc"][name], abs=1e-3)
    np.testing.assert_allclose(signed["confusion"], plain["confusion"], atol=1e-9)


def test_errors_of_signed_weights_are_the_scatter_over_samples() -> None:
    found = []
    for seed in range(300):
        m = classification_metrics(*signed_sample(900, seed, 0.2), "abc")
        found.append((m["accuracy"], m["accuracy_err"], m["auc"]["b"], m["auc_err"]["b"]))
    accuracy, accuracy_err, area, area_err = np.array(found).T
    assert accuracy_err.mean() == pytest.approx(accuracy.std(), rel=0.15)
    assert area_err.mean() == pytest.approx(area.std(), rel=0.25)
