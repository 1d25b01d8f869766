"""Decays of the bosons: even in all directions, and nothing else is changed."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from triggerforge.data.generator.decays import IsotropicDecays
from triggerforge.data.generator.events import EventBatch, Generator
from triggerforge.data.generator.recipes import RECIPES

RECIPE = RECIPES["jets5"]
_COPY = 62  # status of a boson just before it decays
_BARE = (
    *("PartonLevel:MPI = off", "PartonLevel:ISR = off", "PartonLevel:FSR = off"),
    *("HadronLevel:all = off", "BeamRemnants:primordialKT = off"),
)


def events(label: int, seed: int | None, number: int = 4000) -> EventBatch:
    settings = (*RECIPE.settings(RECIPE.classes[label], seed=1), *_BARE)
    return Generator(settings, None if seed is None else IsotropicDecays(seed)).next(number)


def momenta(batch: EventBatch) -> NDArray[np.float64]:
    return np.stack([batch.e, batch.px, batch.py, batch.pz], axis=1)


def cos_theta(batch: EventBatch, boson: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of the first quark in the rest frame of the boson, against its direction of flight."""
    p, quark = momenta(batch)[boson], momenta(batch)[batch.daughter1[boson]]
    other = momenta(batch)[batch.daughter2[boson]]
    flight = np.linalg.norm(p[:, 1:], axis=1)
    mass = np.sqrt(p[:, 0] ** 2 - flight**2)
    along = ((quark - other)[:, 1:] * p[:, 1:]).sum(axis=1) / flight
    # quarks of nearly no mass: their momenta at rest are half the boson's mass
    return (p[:, 0] * along - flight * (quark - other)[:, 0]) / mass**2


def bosons(batch: EventBatch) -> NDArray[np.int64]:
    return np.flatnonzero((np.abs(batch.status) == _COPY) & np.isin(np.abs(batch.pdg), (23, 24)))


@pytest.mark.parametrize("label", [2, 3])
def test_the_direction_is_even(label: int) -> None:
    batch = events(label, seed=5)
    found = cos_theta(batch, bosons(batch))
    assert len(found) == 8000
    assert kstest((found + 1) / 2, "uniform").pvalue > 0.001


def test_without_the_hook_it_is_not() -> None:
    batch = events(2, seed=None)
    found = cos_theta(batch, bosons(batch))
    assert kstest((found + 1) / 2, "uniform").pvalue < 1e-6


def test_momentum_and_masses_stay() -> None:
    batch = events(2, seed=5, number=500)
    boson = bosons(batch)
    p = momenta(batch)
    first, second = p[batch.daughter1[boson]], p[batch.daughter2[boson]]
    np.testing.assert_allclose(first + second, p[boson], atol=1e-6)
    for quark in (first, second):
        m2 = quark[:, 0] ** 2 - (quark[:, 1:] ** 2).sum(axis=1)
        assert (m2 > -1e-3).all() and (m2 < 5.0**2).all()


def test_the_seed_decides() -> None:
    one, same, other = (momenta(events(2, seed, number=20)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
