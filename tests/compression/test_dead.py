"""A network that training has killed is an error, not a result."""

from pathlib import Path

import pytest

from triggerforge.compression.compress import compress
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Splits
from triggerforge.errors import ModelError
from triggerforge.training.trained import TrainedModel


def test_a_network_that_was_trained_to_nothing(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig(
        epochs=12, batch_size=128, lr=0.5, beta_start=1e6, beta_end=1e6, warmup=0.0,
        target={"max_ebops": 1},
    )  # fmt: skip
    with pytest.raises(ModelError, match="same outputs for all 1000 validation events.*beta_end"):
        compress(config, toy_trained, toy_splits, 5, tmp_path)
