"""The stage `compress`: what it leaves on disk, and how it refuses."""

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from triggerforge.compression.backend import keras
from triggerforge.compression.compress import compress
from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Splits
from triggerforge.errors import ModelError
from triggerforge.result import RECORD_FILE
from triggerforge.runfolder import read_json
from triggerforge.training.trained import TrainedModel

QUICK = {"epochs": 6, "batch_size": 128, "lr": 1e-2, "beta_start": 0.01, "beta_end": 90}


def test_quantisation_aware_training_leaves_model_record_and_front(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig(**QUICK, pruning={"method": "structured", "fraction": 0.25})
    model = compress(config, toy_trained, toy_splits, 5, tmp_path)
    record = read_json(tmp_path / RECORD_FILE)
    section = record["compression"]
    assert section["method"] == "hgq"
    assert section["ebops"] == model.ebops == section["chosen"]["ebops"]
    assert section["ratio"] == pytest.approx(section["ebops_uniform8"] / model.ebops)
    assert section["ratio"] > 1
    assert section["target_missed"] is None
    assert section["chosen"] in section["pareto"]
    assert {f"epoch_{c['epoch']:05d}.npz" for c in section["pareto"]} == {
        p.name for p in (tmp_path / "front").iterdir()
    }
    assert len(section["history"]) == section["epochs"] == 6
    # 12 and 6 neurons are left of 16 and 8
    assert section["weights"] == 4 * 12 + 12 + 12 * 6 + 6 + 6 * 3 + 3
    assert 0 <= section["sparsity"] < 1 and 0 < section["bits_mean"] < 9
    assert sum(layer["ebops"] for layer in section["layers"]) == model.ebops

    test = toy_splits.test
    logits = QuantizedModel.load(tmp_path / MODEL_FILE).predict(test.quantized_x)
    np.testing.assert_array_equal(logits, model.predict(test.quantized_x))
    right = np.average(logits.argmax(axis=1) == test.y, weights=test.weight)
    assert record["metrics"]["quantized"]["accuracy"] == pytest.approx(right)
    assert right > 0.8
    audit = record["overflow_audit"]
    assert [row["layer"] for row in audit] == [x["name"] for x in section["layers"]]
    assert all(row["events"] == len(test.y) and row["kind"] in ("wrap", "sat") for row in audit)


def test_rounding_alone_and_its_target(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig(method="ptq", target={"max_accuracy_loss": 2.0})
    model = compress(config, toy_trained, toy_splits, 5, tmp_path)
    section = read_json(tmp_path / RECORD_FILE)["compression"]
    assert section["ratio"] == 1.0
    assert section["pareto"] == [section["chosen"]]
    assert section["chosen"]["ebops"] == model.ebops


def test_missed_target_is_recorded_with_the_nearest(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig(method="ptq", bits={"uniform": 4}, target={"max_ebops": 10})
    model = compress(config, toy_trained, toy_splits, 5, tmp_path)
    section = read_json(tmp_path / RECORD_FILE)["compression"]
    assert re.search(
        r"max_ebops 10 .* the nearest is \d+\.\d+ % at \d+ EBOPs", section["target_missed"]
    )
    assert section["ratio"] > 2
    assert section["chosen"]["ebops"] == section["ebops"] == model.ebops


def test_events_of_another_contract_are_refused(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    other = replace(toy_trained, classes=("a", "b", "c"))
    with pytest.raises(ModelError, match="train again"):
        compress(CompressConfig(**QUICK), other, toy_splits, 5, tmp_path)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_no_events_are_refused(
    part: str, toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    empty = replace(toy_splits, **{part: toy_splits.train.take(slice(0, 0))})
    with pytest.raises(ModelError, match="events"):
        compress(CompressConfig(**QUICK), toy_trained, empty, 5, tmp_path)


@pytest.mark.parametrize("method", ["hgq", "ptq"])
def test_the_same_seed_gives_the_same_bytes(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path, method: str
) -> None:
    made = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        config = CompressConfig(**{**QUICK, "epochs": 2}, method=method)
        compress(config, toy_trained, toy_splits, 5, tmp_path / folder)
        made.append((tmp_path / folder / MODEL_FILE).read_bytes())
        keras.layers.Dense(1)  # another use of Keras between the two
        time.sleep(2.1)  # a zip file's times have steps of two seconds
    assert made[0] == made[1]
