"""Decays of the bosons: even in all directions, and nothing else is changed."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from triggerforge.data.generator.decays import IsotropicDecays
from triggerforge.data.generator.events import EventBatch, Generator
from triggerforge.data.generator.recipes import load_recipe

RECIPE = load_recipe("jets5")
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


def cosines(batch: EventBatch, boson: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Of the first quark in the rest frame of the boson, against its flight and each fixed axis."""
    p, k = momenta(batch)[boson], momenta(batch)[batch.daughter1[boson]]
    energy, flight = p[:, 0], p[:, 1:]
    mass = np.sqrt(energy**2 - (flight**2).sum(axis=1))
    along = (k[:, 1:] * flight).sum(axis=1)
    boost = along / (mass * (energy + mass)) - k[:, 0] / mass
    at_rest = k[:, 1:] + flight * boost[:, None]
    at_rest /= np.linalg.norm(at_rest, axis=1)[:, None]
    forward = flight / np.linalg.norm(flight, axis=1)[:, None]
    return {"flight": (at_rest * forward).sum(axis=1)} | dict(zip("xyz", at_rest.T, strict=True))


def bosons(batch: EventBatch) -> NDArray[np.int64]:
    return np.flatnonzero((np.abs(batch.status) == _COPY) & np.isin(np.abs(batch.pdg), (23, 24)))


@pytest.mark.parametrize("label", [2, 3])
def test_the_direction_is_even(label: int) -> None:
    batch = events(label, seed=5)
    for found in cosines(batch, bosons(batch)).values():
        assert len(found) == 8000
        assert kstest((found + 1) / 2, "uniform").pvalue > 0.001


def test_without_the_hook_it_is_not() -> None:
    batch = events(2, seed=None)
    found = cosines(batch, bosons(batch))["flight"]
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
