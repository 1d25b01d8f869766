"""The stage: files, record, determinism, weights, early stopping, and bad input."""

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
from triggerforge.data.dataset import Splits
from triggerforge.errors import ConfigError, DataError, MissingToolError, ModelError
from triggerforge.training.tensors import class_weights, network_inputs, to_tensors
from triggerforge.training.train import train
from triggerforge.training.trained import load_trained

Contracts = Callable[..., InputContract]
Data = Callable[..., Splits]
PARTICLE = ("pt_rel", "deta", "dphi", "valid")


def config(**settings: Any) -> TrainConfig:
    return TrainConfig.model_validate({"epochs": 4, "batch_size": 64, "lr": 0.01, **settings})


@pytest.mark.parametrize(
    ("model", "shape", "names"),
    [
        ("mlp", (6,), None),
        ("deepsets", (8, 4), PARTICLE),
        ("jedi_linear", (8, 4), PARTICLE),
        ("cnn", (8, 8, 1), None),
    ],
)
def test_each_model_learns_and_is_read_back(
    make_contract: Contracts,
    make_splits: Data,
    tmp_path: Path,
    model: str,
    shape: tuple[int, ...],
    names: tuple[str, ...] | None,
) -> None:
    data = make_splits(make_contract(shape, names), 900, spread=0.5)
    settings = {"name": model, "kwargs": {"pool": "sum"} if model == "deepsets" else {}}
    trained = train(config(model=settings, epochs=12), data, 1, tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["metrics"]["float"]["accuracy"] > 0.7
    assert set(record["metrics"]["float"]["auc"]) == {"a", "b", "c"}
    assert record["training"]["model"] == model and record["training"]["epochs"] == 12
    assert record["training"]["history"] == trained.history
    again = load_trained(tmp_path)
    x = data.test.quantized_x
    np.testing.assert_array_equal(again.predict(x), trained.predict(x))
    assert again.contract == data.contract and again.classes == data.classes
    assert again.architecture == trained.architecture and again.history == trained.history
    assert not again.module.training and trained.predict(x).dtype == np.float32


def test_in_bfloat16_it_learns_and_the_model_stays_float32(
    make_contract: Contracts, make_splits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does by itself; the CPU has bfloat16 too."""
    data = make_splits(make_contract((6,), None), 900, spread=0.5)
    full = train(config(epochs=12), data, 1, tmp_path / "full")
    monkeypatch.setattr("triggerforge.training.fit.uses_bfloat16", lambda config, device: True)
    mixed = train(config(epochs=12), data, 1, tmp_path / "mixed")
    assert {p.dtype for p in mixed.module.parameters()} == {torch.float32}
    x = data.test.quantized_x
    assert not np.array_equal(mixed.predict(x), full.predict(x))
    assert mixed.predict(x).dtype == np.float32
    accuracy = [(model.predict(x).argmax(axis=1) == data.test.y).mean() for model in (full, mixed)]
    assert abs(accuracy[0] - accuracy[1]) < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_on_a_gpu_in_mixed_precision(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,), None), 900, spread=0.5)
    trained = train(config(epochs=12, device="cuda"), data, 1, tmp_path)
    x = data.test.quantized_x
    assert (trained.predict(x).argmax(axis=1) == data.test.y).mean() > 0.7
    assert json.loads((tmp_path / "record.json").read_text())["training"]["device"].startswith(
        "cuda"
    )


def test_same_seed_same_bits(make_contract: Contracts, make_splits: Data, tmp_path: Path) -> None:
    data = make_splits(make_contract((6,)))
    outputs = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        torch.manual_seed(np.random.randint(1000))  # what went before must not matter
        outputs[name] = train(config(), data, seed, tmp_path / name)
    x = data.test.x
    assert (outputs["one"].predict(x) == outputs["again"].predict(x)).all()
    assert not (outputs["one"].predict(x) == outputs["other"].predict(x)).all()
    files = [(tmp_path / name / "model.pt").read_bytes() for name in ("one", "again")]
    assert files[0] == files[1]


def test_global_state_is_left_alone(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(config(epochs=1, threads=1), make_splits(make_contract((6,)), 90), 1, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_best_epoch_is_kept_and_patience_ends(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)), 120, spread=3.0)  # few events: overtrains at once
    trained = train(config(epochs=60, lr=0.02, patience=3), data, 1, tmp_path)
    losses = [entry["validation_loss"] for entry in trained.history]
    record = json.loads((tmp_path / "record.json").read_text())["training"]
    assert record["best_epoch"] == int(np.argmin(losses)) + 1
    assert record["epochs"] == record["best_epoch"] + 3 == len(losses) < 60
    logits = torch.from_numpy(trained.predict(data.validation.quantized_x)).double()
    losses_now = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(data.validation.y), reduction="none"
    ).numpy()
    weight = class_weights(data.train, config())[data.validation.y] * data.validation.weight
    assert np.average(losses_now, weights=weight) == pytest.approx(min(losses), rel=1e-5)


def test_inputs_are_rounded_unless_told_otherwise(
    make_contract: Contracts, make_splits: Data
) -> None:
    data = make_splits(make_contract((6,))).train
    rounded = network_inputs(data, True)
    np.testing.assert_array_equal(rounded, data.quantized_x)
    assert (rounded != data.x).any()
    assert network_inputs(data, False) is data.x


def test_class_and_event_weights(make_contract: Contracts, make_splits: Data) -> None:
    data = make_splits(make_contract((6,))).train
    data = data.take(np.flatnonzero((data.y != 1) | (np.arange(len(data)) % 4 == 0)))
    balanced = class_weights(data, config())
    sums = np.bincount(data.y, data.weight * balanced[data.y])
    assert sums == pytest.approx(np.full(3, sums[0]))
    assert class_weights(data, config(class_weights="none")).tolist() == [1, 1, 1]
    given = config(class_weights=[1, 2, 0.5])
    assert class_weights(data, given).tolist() == [1, 2, 0.5]
    cpu = torch.device("cpu")
    flat = to_tensors(data, config(class_weights="none", event_weights=False), np.ones(3), cpu)
    assert (flat.weight == 1).all()
    weighted = to_tensors(data, given, class_weights(data, given), cpu)
    expected = data.weight * np.array([1, 2, 0.5])[data.y]
    np.testing.assert_allclose(weighted.weight, expected / expected.mean(), rtol=1e-6)


def test_negative_weights_train_to_the_end_and_stay_in_their_range(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    """Negative events that the network can tell from the others: a signed loss would fall for ever."""
    data = make_splits(make_contract((6,)), 1200, spread=0.3)
    parts = []
    for seed, part in enumerate((data.train, data.validation, data.test)):
        negative = np.random.default_rng(seed).random(len(part)) < 0.3
        x = part.x.copy()
        x[negative, 0] += 5
        weight = np.where(negative, -part.weight, part.weight)
        parts.append(replace(part, x=x, weight=weight))
    trained = train(config(epochs=30), Splits(*parts), 1, tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    for row in trained.history:
        assert row["train_loss"] > 0 and row["validation_loss"] > 0
        assert 0 <= row["validation_accuracy"] <= 1
    metrics = record["metrics"]["float"]
    assert 0.9 < metrics["accuracy"] <= 1 and all(0.9 < a <= 1 for a in metrics["auc"].values())


def test_a_class_whose_weights_cancel_is_named(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)))
    weight = np.where(data.train.y == 1, -data.train.weight, data.train.weight)
    wrong = replace(data, train=replace(data.train, weight=weight))
    for settings in ({"class_weights": "none"}, {"class_weights": "balanced"}):
        with pytest.raises(DataError, match="class 'b' sum to -"):
            train(config(**settings), wrong, 1, tmp_path)


def test_a_class_of_weight_zero_is_not_learned(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)))
    trained = train(config(class_weights=[1, 1, 0], epochs=8), data, 1, tmp_path)
    assert (trained.predict(data.test.x).argmax(axis=1) == 2).mean() < 0.05


def test_label_smoothing_tames_the_logits(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)), spread=0.2)
    sizes = [
        np.abs(train(config(label_smoothing=s, epochs=15), data, 1, tmp_path / str(s)).predict(
            data.test.x
        )).max()
        for s in (0.0, 0.3)
    ]  # fmt: skip
    assert sizes[1] < sizes[0]


def test_missing_classes_and_empty_parts_are_named(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)))
    without = data.test.take(np.flatnonzero(data.test.y != 1))
    with pytest.raises(DataError, match="no events of b among the 200 of the test part"):
        train(config(), replace(data, test=without), 1, tmp_path)
    with pytest.raises(DataError, match="no events in the validation part"):
        train(config(), replace(data, validation=data.test.take(slice(0, 0))), 1, tmp_path)


def test_weights_that_cannot_be_used_are_named(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)))
    zeros = replace(data.train, weight=np.zeros_like(data.train.weight))
    with pytest.raises(DataError, match="class 'a' sum to 0"):
        train(config(), replace(data, train=zeros), 1, tmp_path)
    with pytest.raises(DataError, match="class 'a' sum to 0"):
        train(config(class_weights="none"), replace(data, train=zeros), 1, tmp_path)
    with pytest.raises(DataError, match=r"weights of 600 events sum to 0"):
        train(config(class_weights=[0, 0, 0]), data, 1, tmp_path)
    with pytest.raises(ConfigError, match=r"\[1.0, 2.0\] for the 3 classes"):
        train(config(class_weights=[1, 2]), data, 1, tmp_path)


def test_a_loss_that_is_not_finite_ends_the_training(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)))
    with pytest.raises(ModelError, match=r"not finite in epoch \d.*lower train.lr \(now 1e\+30\)"):
        train(config(lr=1e30, warmup=0), data, 1, tmp_path)
    assert not (tmp_path / "model.json").exists()


def test_a_gpu_that_is_not_there(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    data = make_splits(make_contract((6,)))
    with pytest.raises(MissingToolError, match="'cuda:63', but torch .* sees"):
        train(config(device="cuda:63"), data, 1, tmp_path)


def test_predict_refuses_another_shape(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    trained = train(config(epochs=1), make_splits(make_contract((6,)), 90), 1, tmp_path)
    with pytest.raises(ModelError, match=r"inputs of shape \(5,\); .* trained on \(6,\)"):
        trained.predict(np.zeros((2, 5), np.float32))
    assert trained.predict(np.zeros((0, 6), np.float32)).shape == (0, 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": {}},
        {"model": {"name": "mlp", "file": "x.py", "class": "X"}},
        {"model": {"file": "x.py"}},
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": 0},
        {"schedule": "linear"},
        {"device": "tpu"},
        {"class_weights": "some"},
        {"label_smoothing": 1.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        TrainConfig.model_validate(settings)
