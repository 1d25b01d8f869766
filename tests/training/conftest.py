"""Small synthetic events that a network can tell apart."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.fixedpoint import FixedFormat

FORMAT = FixedFormat.parse("ap_fixed<12,4,RND,SAT>")
FLAG = FixedFormat.parse("ap_ufixed<1,1>")


def contract(shape: tuple[int, ...], names: tuple[str, ...] | None = None) -> InputContract:
    """Inputs of 12 bits; one named `valid` is a single bit."""
    names = names or tuple(f"f{i}" for i in range(shape[-1]))
    features = tuple(InputFeature(n, "", 0.0, 0, FLAG if n == "valid" else FORMAT) for n in names)
    return InputContract(features, shape)


def dataset(
    events: int, inputs: InputContract, classes: int = 3, spread: float = 1.0, seed: int = 0
) -> Dataset:
    """Gaussian blobs, one for each class; every class is present from `classes` events on."""
    centres = np.random.default_rng(99).normal(size=(classes, *inputs.shape))
    rng = np.random.default_rng(seed)
    y = np.arange(events) % classes
    x = centres[y] + spread * rng.normal(size=(events, *inputs.shape))
    for i, name in enumerate(inputs.names):
        if name == "valid":
            x[..., i] = rng.random(x.shape[:-1]) < 0.7
            x *= x[..., i : i + 1]
    return Dataset(
        x=x.astype(np.float32),
        y=y.astype(np.int64),
        weight=rng.uniform(0.5, 1.5, events).astype(np.float32),
        contract=inputs,
        classes=tuple("abcdefgh"[:classes]),
    )


def splits(
    inputs: InputContract, events: int = 600, classes: int = 3, spread: float = 1.0
) -> Splits:
    """Training, validation and test events of the same blobs."""
    return Splits(
        *(
            dataset(n, inputs, classes, spread, seed)
            for seed, n in enumerate((events, events // 2, events // 2))
        )
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks: threads that wait for each other cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_contract() -> Callable[..., InputContract]:
    """`contract(shape, names)`"""
    return contract


@pytest.fixture
def make_splits() -> Callable[..., Splits]:
    """`splits(contract, events, classes, spread)`"""
    return splits
