"""Small samples with a known truth: a background whose score falls exponentially, two signals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.config.trigger import TriggerConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import write_logits
from triggerforge.data.splits import save_splits
from triggerforge.fixedpoint import FixedFormat
from triggerforge.runfolder import write_json

EVENTS = 9000
SCORE = FixedFormat.parse("ap_fixed<12,5>")
CLASSES = ("minbias", "a4l", "dark")


def dataset(
    events: int = EVENTS, seed: int = 1, shape: tuple[int, ...] = (3,), **replaced: Any
) -> Dataset:
    """Two thirds background; `pt` is the truth behind the score."""
    rng = np.random.default_rng(seed)
    y = np.array([0, 0, 0, 0, 1, 2])[np.arange(events) % 6]
    port = FixedFormat.parse("ap_fixed<12,8,RND,SAT>")
    names = ("pt", "eta", "phi") if len(shape) == 2 else tuple(f"f{i}" for i in range(shape[-1]))
    features = tuple(InputFeature(name, "GeV", 0.0, 0, port) for name in names)
    parts: dict[str, Any] = {
        "x": rng.normal(size=(events, *shape)).astype(np.float32),
        "y": y.astype(np.int64),
        "weight": np.ones(events, np.float32),
        "contract": InputContract(features, shape),
        "classes": CLASSES,
        "observables": {
            "jet_pt": (20 * rng.exponential(size=events) * (1 + 4 * (y > 0))).astype(np.float32),
            "jet_eta": rng.uniform(-4, 4, events).astype(np.float32),
            "npv": rng.poisson(50, events).astype(np.float32),
            "lumi": np.sort(rng.integers(0, 100, events)).astype(np.float32),
        },
    }
    return Dataset(**(parts | replaced))


def logits(test: Dataset) -> np.ndarray:
    """(N, 1): an anomaly score that grows with the leading pT."""
    rng = np.random.default_rng(7)
    return (test.observables["jet_pt"] / 20 + rng.normal(0, 0.3, len(test)))[:, None]


@pytest.fixture
def config() -> TriggerConfig:
    return TriggerConfig(background=("minbias",), target_rates=(0.1, 100.0, 1000.0))


@pytest.fixture
def test_part() -> Dataset:
    return dataset()


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes what the stages before `trigger` leave; gives back the run's folder."""

    def make(test: Dataset | None = None) -> Path:
        test = test or dataset()
        run = tmp_path / "runs" / "fake"
        for stage in ("data", "train", "compress", "benchmark", "trigger"):
            (run / stage).mkdir(parents=True)
        save_splits(Splits(dataset(600, 2), dataset(600, 3), test), run / "data")
        write_json(run / "data" / "record.json", {"data": {"source": ["events.root"]}})
        values = logits(test)
        fixed = np.clip(np.floor(values * 128) / 128, *SCORE.range)
        write_logits(run / "train", values)
        write_logits(run / "compress", fixed)
        write_logits(run / "benchmark", fixed[: len(fixed) // 2])
        return run

    return make
