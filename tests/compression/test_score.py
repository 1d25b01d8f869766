"""An anomaly score quantised: by its rate, saturating, exact, and blind to signals."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triggerforge.compression import ptq
from triggerforge.compression.backend import hgq
from triggerforge.compression.compress import compress
from triggerforge.compression.imported import import_model
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel, corner_inputs
from triggerforge.compression.ranges import set_start
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Splits
from triggerforge.errors import ModelError
from triggerforge.fixedpoint import Overflow
from triggerforge.training.trained import TrainedModel

CONFIG = CompressConfig(epochs=6, batch_size=128, lr=1e-2, beta_start=0.01, beta_end=0.1)


class Score(nn.Module):
    """Σμ² of two hidden numbers; `keepdim` as torch code has it both ways."""

    def __init__(self, keepdim: bool = True) -> None:
        super().__init__()
        self.keepdim = keepdim
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        mu = self.body(x)
        terms = mu * mu
        if self.keepdim:
            return terms.sum(dim=1, keepdim=True)
        return terms.sum(dim=1).unsqueeze(1)


def score_network(keepdim: bool = True) -> nn.Module:
    torch.manual_seed(5)
    return Score(keepdim).eval()


@pytest.fixture(scope="module")
def splits(toy_splits: Splits) -> Splits:
    return replace(toy_splits, background=("q", "g"))


@pytest.fixture(scope="module")
def trained(splits: Splits) -> TrainedModel:
    return TrainedModel(score_network(), splits.contract, splits.classes, {}, [], splits.background)


@pytest.fixture(scope="module")
def compressed(
    trained: TrainedModel, splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> tuple[QuantizedModel, Path]:
    folder = tmp_path_factory.mktemp("score")
    return compress(CONFIG, trained, splits, 1, folder), folder


def test_the_record_is_of_a_score(
    compressed: tuple[QuantizedModel, Path], trained: TrainedModel, splits: Splits
) -> None:
    model, folder = compressed
    record = json.loads((folder / "record.json").read_text())
    assert model.classes == ("anomaly",)
    assert set(record["metrics"]["quantized"]["auc"]) == {"t"}
    section = record["compression"]
    assert section["measure"] == "overlap" and section["validation_accuracy_float"] == 1
    assert section["chosen"]["accuracy"] > 0.8


def test_it_is_exact_past_all_ranges(
    compressed: tuple[QuantizedModel, Path], splits: Splits
) -> None:
    model, _ = compressed
    x = np.concatenate([corner_inputs(splits.contract, 500, 3), splits.test.quantized_x])
    np.testing.assert_array_equal(model.predict(x), model.reference(x))


def test_signals_change_nothing(
    compressed: tuple[QuantizedModel, Path], trained: TrainedModel, splits: Splits, tmp_path: Path
) -> None:
    signal = splits.train.y == 2
    x = np.where(signal[:, None], -3 * splits.train.x, splits.train.x)
    other = replace(splits, train=replace(splits.train, x=x))
    again = compress(CONFIG, trained, other, 1, tmp_path)
    test = splits.test.quantized_x
    np.testing.assert_array_equal(again.predict(test), compressed[0].predict(test))


def test_an_event_past_all_that_was_seen_stays_anomalous(
    trained: TrainedModel, splits: Splits
) -> None:
    """Ranges from small events: a score that wraps is a small one, a score that saturates is not."""
    contract, small = splits.contract, splits.contract.quantize(splits.train.x / 8)
    large = contract.quantize(splits.train.x)
    expected = trained.predict(large)[:, 0]
    highest = trained.predict(small)[:, 0].max()
    past = expected > 4 * highest
    assert past.sum() > 20
    kept = {}
    for overflow in (Overflow.SAT, Overflow.WRAP):
        scheme = QuantizationScheme(
            weight_bits=10, activation_fraction=8, activation_overflow=overflow
        )
        model = lower(trained.module, contract, scheme)
        set_start(model, lower(trained.module, contract), small)
        hgq.utils.trace_minmax(model, small)  # for WRAP
        score = QuantizedModel.from_keras(model, contract, ("anomaly",)).predict(large)[:, 0]
        kept[overflow] = (score[past] >= 0.5 * highest).mean()
    assert kept[Overflow.SAT] == 1 and kept[Overflow.WRAP] < 0.9


@pytest.mark.parametrize("keepdim", [True, False])
def test_a_sum_over_all_axes_has_a_form(keepdim: bool, splits: Splits) -> None:
    module = score_network(keepdim)
    twin = lower(module, splits.contract)
    x = splits.test.quantized_x
    expected = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(np.asarray(twin(x)), expected, rtol=1e-5, atol=1e-5)
    quantised = ptq.uniform(module, splits.contract, x)
    made = QuantizedModel.from_keras(quantised, splits.contract, ("anomaly",))
    np.testing.assert_array_equal(made.predict(x), made.reference(x))


def test_a_model_file_is_taken_as_a_score(
    compressed: tuple[QuantizedModel, Path], splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig.model_validate({"model": str(compressed[1] / MODEL_FILE)})
    import_model(config, splits, tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    assert set(record["metrics"]["quantized"]["auc"]) == {"t"}
    assert "pareto" not in record["compression"]
    with pytest.raises(ModelError, match="made for the outputs .*anomaly.*data.background"):
        import_model(config, replace(splits, background=()), tmp_path)


def test_another_background_is_refused(
    trained: TrainedModel, splits: Splits, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"background \['q', 'g'\], the events have"):
        compress(CONFIG, trained, replace(splits, background=("q",)), 1, tmp_path)
