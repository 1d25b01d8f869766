"""A pool of random collisions, without Pythia."""

import numpy as np
import pytest

from triggerforge.data.generator.l1.collisions import Pool
from triggerforge.data.generator.l1.muons import Muons
from triggerforge.data.generator.l1.towers import CELLS, Deposits


def random_pool(collisions: int, deposits: int, energy: float, seed: int) -> Pool:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, deposits, collisions).astype(np.int32)
    muons = rng.integers(0, 3, collisions).astype(np.int32)
    many = int(muons.sum())
    return Pool(
        name="random",
        towers=Deposits(
            counts,
            rng.integers(0, 2 * CELLS, counts.sum()).astype(np.uint16),
            rng.exponential(energy, counts.sum()).astype(np.float32),
        ),
        muons=Muons(
            muons,
            rng.uniform(3, 30, many).astype(np.float32),
            rng.uniform(-2.4, 2.4, many).astype(np.float32),
            rng.uniform(-np.pi, np.pi, many).astype(np.float32),
        ),
        pthat=rng.uniform(0, 20, collisions).astype(np.float32),
        sigma=1.0,
    )


@pytest.fixture
def pool() -> Pool:
    return random_pool(collisions=50, deposits=120, energy=3.0, seed=4)
