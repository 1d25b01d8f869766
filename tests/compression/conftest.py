"""A small problem that a small network solves: three clouds of points in four dimensions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.trained import TrainedModel

CLASSES = ("q", "g", "t")
FEATURES = 4
CONTRACT = InputContract(
    tuple(
        InputFeature(f"f{i}", "", 0.0, 0, FixedFormat.parse("ap_fixed<8,4,RND,SAT>"))
        for i in range(FEATURES)
    ),
    (FEATURES,),
)


def _events(count: int, seed: int) -> Dataset:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(len(CLASSES), FEATURES)) * 2
    y = random.integers(0, len(CLASSES), count)
    x = (centres[y] + random.normal(size=(count, FEATURES))).astype(np.float32)
    weight = random.uniform(0.5, 1.5, count).astype(np.float32)
    return Dataset(x, y, weight, CONTRACT, CLASSES)


@pytest.fixture(scope="session")
def toy_splits() -> Splits:
    return Splits(train=_events(2000, 1), validation=_events(1000, 2), test=_events(1000, 3))


@pytest.fixture(scope="session")
def toy_module() -> Callable[[], nn.Module]:
    """Makes the same network at each call: 4-16-8-3, untrained."""

    def make() -> nn.Module:
        torch.manual_seed(7)
        return nn.Sequential(
            nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)
        ).eval()

    return make


@pytest.fixture(scope="session")
def toy_trained(toy_splits: Splits, toy_module: Callable[[], nn.Module]) -> TrainedModel:
    """The network, trained to about 90 %."""
    module = toy_module()
    x, y = torch.from_numpy(toy_splits.train.x), torch.from_numpy(toy_splits.train.y)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return TrainedModel(module, CONTRACT, CLASSES, {"name": "toy", "kwargs": {}}, [])
