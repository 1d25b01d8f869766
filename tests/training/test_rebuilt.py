"""A network that is another one when it is built again is refused before it is trained."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.config.train import TrainConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Splits
from triggerforge.errors import ModelError
from triggerforge.training.rebuilt import require_rebuilt
from triggerforge.training.train import train

Contracts = Callable[..., InputContract]

SOURCE = """
import torch
from torch import nn

class Drawn(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.randn(6)
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return self.layer(x * self.scale)
"""


class Drawn(nn.Module):
    """Numbers of numpy's in a plain attribute, or kept."""

    def __init__(self, kept: bool, count: int = 6) -> None:
        super().__init__()
        scale = torch.from_numpy(np.random.normal(size=count)).float()
        if kept:
            self.register_buffer("scale", scale)
        else:
            self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x scaled."""
        return x * self.scale


def test_what_is_not_in_the_state_is_found(make_contract: Contracts) -> None:
    contract = make_contract((6,))
    with pytest.raises(ModelError, match="'Drawn', built a second time.*register_buffer"):
        require_rebuilt(Drawn(False), lambda: Drawn(False), contract, "Drawn")
    require_rebuilt(Drawn(True), lambda: Drawn(True), contract, "Drawn")


def test_other_layers_at_the_second_time(make_contract: Contracts) -> None:
    with pytest.raises(ModelError, match="does not take its own weights.*size mismatch"):
        require_rebuilt(Drawn(True).eval(), lambda: Drawn(True, 5), make_contract((6,)), "Drawn")


def test_random_generators_are_left_as_they_were(make_contract: Contracts) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist()
    torch.manual_seed(3)
    np.random.seed(3)
    module = nn.Linear(6, 3)
    torch.manual_seed(3)
    require_rebuilt(module, lambda: nn.Linear(6, 3), make_contract((6,)), "Linear")
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist()) == expected


def test_it_is_said_before_the_training(
    make_splits: Callable[..., Splits], make_contract: Contracts, tmp_path: Path
) -> None:
    file = tmp_path / "net.py"
    file.write_text(SOURCE)
    config = TrainConfig.model_validate(
        {"model": {"file": str(file), "class": "Drawn"}, "epochs": 1}
    )
    with pytest.raises(ModelError, match="'Drawn', built a second time"):
        train(config, make_splits(make_contract((6,))), 1, tmp_path / "train")
    assert not (tmp_path / "train" / "model.pt").exists()
