"""Scores that are learned from ordinary events alone: no signal has a say in them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triggerforge.config.train import TrainConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.errors import ModelError, TriggerForgeError
from triggerforge.training.build import require_arguments
from triggerforge.training.train import train
from triggerforge.training.trained import load_trained

Contracts = Callable[..., InputContract]
Data = Callable[..., Splits]
Case = tuple[dict[str, Any], Splits]
STUDENT = {
    "model": {"name": "region_student", "kwargs": {"channels": 2, "hidden": [4]}},
    "teacher": {
        "model": {"name": "conv_autoencoder", "kwargs": {"channels": [2, 2], "latent": 4}},
        "epochs": 2,
    },
}
KINDS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"model": {"name": "vae", "kwargs": {"hidden": [8], "latent": 2}}}, (6,)),
    ({"model": {"name": "autoencoder", "kwargs": {"hidden": [4], "latent": 2}}}, (6,)),
    (STUDENT, (6, 4, 1)),
]


def config(**settings: Any) -> TrainConfig:
    return TrainConfig.model_validate({"epochs": 3, "batch_size": 64, "lr": 0.01, **settings})


def scored(data: Splits) -> Splits:
    """With class a as background, b and c as signals."""
    return replace(data, background=("a",))


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest, make_contract: Contracts, make_splits: Data) -> Case:
    """A network's settings, and events that fit it."""
    settings, shape = request.param
    return settings, scored(make_splits(make_contract(shape), 900))


def disturbed(part: Dataset) -> Dataset:
    """The same background; signals replaced, and their labels exchanged at random."""
    random = np.random.default_rng(11)
    signal = np.flatnonzero(part.y != 0)
    x, y, weight = part.x.copy(), part.y.copy(), part.weight.copy()
    x[signal] = random.normal(5, 3, x[signal].shape)
    y[signal] = random.permutation(y[signal])
    weight[signal] *= 100
    return replace(part, x=x, y=y, weight=weight)


def test_signals_change_nothing_in_the_training(case: Case, tmp_path: Path) -> None:
    settings, data = case
    other = replace(data, train=disturbed(data.train), validation=disturbed(data.validation))
    chosen = config(patience=2, **settings)
    one, two = (train(chosen, d, 1, tmp_path / f"{i}") for i, d in enumerate((data, other)))
    assert one.history == two.history
    for name, value in one.module.state_dict().items():
        assert torch.equal(value, two.module.state_dict()[name]), name
    third = replace(data, train=replace(data.train, y=(data.train.y + 1) % 3))
    moved = train(chosen, third, 1, tmp_path / "moved")
    assert moved.history != one.history  # where another class is background, it does change


def test_what_is_written_is_read_back(case: Case, tmp_path: Path) -> None:
    settings, data = case
    trained = train(config(**settings), data, 1, tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    assert set(record["metrics"]["float"]["auc"]) == {"b", "c"}
    assert record["training"]["events"] == (data.train.y == 0).sum()
    again = load_trained(tmp_path)
    assert again.background == ("a",) and again.task.outputs == ("anomaly",)
    score = trained.predict(data.test.quantized_x)
    assert score.shape == (len(data.test), 1)
    np.testing.assert_array_equal(again.predict(data.test.quantized_x), score)
    teacher = record["training"].get("teacher")
    assert (teacher is not None) == ("teacher" in settings)
    if teacher:
        assert set(teacher["metrics"]["auc"]) == {"b", "c"} and teacher["epochs"] == 2
        assert teacher["multiplications"] > 2 * record["training"]["multiplications"] > 0
        assert load_trained(tmp_path / "teacher").task == again.task


def test_a_student_takes_up_its_teachers_order(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = scored(make_splits(make_contract((6, 4, 1)), 3000))
    settings = STUDENT | {"model": {"name": "region_student", "kwargs": {"hidden": [32]}}}
    student = train(config(**settings | {"epochs": 30}), data, 1, tmp_path)
    teacher = load_trained(tmp_path / "teacher")
    x = data.test.quantized_x[data.test.y == 0]
    ranks = [np.argsort(np.argsort(m.predict(x)[:, 0])) for m in (student, teacher)]
    assert np.corrcoef(*ranks)[0, 1] > 0.7


def test_a_teachers_arguments_are_looked_at_before_there_are_events() -> None:
    teacher = {"model": {"name": "conv_autoencoder", "kwargs": {"chanels": [2, 2]}}}
    with pytest.raises(ModelError, match="no argument 'chanels'; did you mean 'channels'"):
        require_arguments(config(**STUDENT | {"teacher": teacher}), scores=True)


@pytest.mark.parametrize(
    ("settings", "background", "told"),
    [
        ({"model": {"name": "mlp"}}, ("a",), r"'mlp' has no losses\(x\) of its own"),
        ({"model": {"name": "vae"}}, (), "name their classes in data.background"),
        (STUDENT | {"model": {"name": "vae"}}, ("a",), "leave the teacher out"),
    ],
)
def test_a_network_that_cannot_learn_this_is_refused(
    make_contract: Contracts,
    make_splits: Data,
    tmp_path: Path,
    settings: dict[str, Any],
    background: tuple[str, ...],
    told: str,
) -> None:
    shape = (6, 4, 1) if "teacher" in settings else (6,)
    data = replace(make_splits(make_contract(shape), 300), background=background)
    with pytest.raises(TriggerForgeError, match=told):
        train(config(**settings), data, 1, tmp_path)


def test_a_teacher_that_tells_nothing_apart_is_refused(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = scored(make_splits(make_contract((6, 4, 1)), 300))
    flat = replace(data, train=replace(data.train, x=np.zeros_like(data.train.x)))
    with pytest.raises(ModelError, match="tells no two events apart"):
        train(config(**STUDENT), flat, 1, tmp_path)
