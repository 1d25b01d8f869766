"""Soft and hard collisions join without a gap or an overlap; signals are what their names say."""

import numpy as np
import pytest

from triggerforge.data.generator.events import Generator
from triggerforge.data.generator.l1.processes import PTHAT_EDGES, SIGNALS, SOFT, STRATA, Process
from triggerforge.data.generator.l1.suep import SoftBomb, thermal_momenta
from triggerforge.data.generator.particles import visible

ENERGY = 13_600.0
BY_NAME = {process.name: process for process in SIGNALS}


def generator(process: Process) -> Generator:
    hook = SoftBomb(1) if process.hook == "suep" else None
    return Generator(process.settings(ENERGY, 1, ()), hook)


def hard(low: float, high: float) -> Process:
    limits = (f"PhaseSpace:pTHatMin = {low}", f"PhaseSpace:pTHatMax = {high}")
    return Process("hard", ("HardQCD:all = on", *limits))


def test_soft_and_hard_descriptions_agree_where_both_hold() -> None:
    """In pTHat from 12 to 20 GeV: the rate per inelastic collision, and the energy that is seen."""
    soft, other = generator(SOFT), generator(hard(12.0, PTHAT_EDGES[0]))
    inclusive, sample = soft.next(2500), other.next(250)
    inside = (inclusive.pthat >= 12.0) & (inclusive.pthat < PTHAT_EDGES[0])
    found, expected = inside.mean(), other.cross_section / soft.cross_section
    error = np.hypot(np.sqrt(found / len(inclusive)), 0.05 * expected)
    # the hardest of several scatterings is softer than any of them would be alone: a few per cent
    assert abs(found - expected) < 3 * error

    means, errors = [], []
    for batch, made_by, kept in (
        (inclusive, soft, np.flatnonzero(inside)),
        (sample, other, np.arange(len(sample))),
    ):
        particles = visible(batch, made_by)
        et = np.bincount(particles.event, particles.pt, minlength=len(batch))[kept]
        means.append(et.mean())
        errors.append(et.std() / np.sqrt(len(et)))
    assert abs(means[0] - means[1]) < 4 * np.hypot(*errors)


def test_bins_add_up() -> None:
    def sigma(low: float, high: float) -> float:
        made_by = generator(hard(low, high))
        made_by.next(200)
        return made_by.cross_section

    assert sigma(30, 50) + sigma(50, 80) == pytest.approx(sigma(30, 80), rel=0.15)


def test_strata_leave_no_gap() -> None:
    assert STRATA[0].pthat_max == PTHAT_EDGES[0]
    limits = [setting for process in STRATA[1:-1] for setting in process.pythia[1:]]
    lows = [float(s.split("=")[1]) for s in limits if "Min" in s]
    highs = [float(s.split("=")[1]) for s in limits if "Max" in s]
    assert lows == list(PTHAT_EDGES)
    assert highs == [*PTHAT_EDGES[1:], -1.0]


@pytest.mark.parametrize(
    ("name", "pdg", "least"),
    [
        ("A_4l", (11, 13, 15), 4),
        ("LQ_btau", (15,), 2),
        ("h0_tautau", (15,), 2),
        ("hpm_taunu", (15,), 1),
        ("HH_4b", (5,), 4),
        ("ttbar", (6,), 2),
        ("SUEP", (4900111,), 50),
        ("dark_shower", (4900111, 4900113), 4),
    ],
)
def test_signals(name: str, pdg: tuple[int, ...], least: int) -> None:
    batch = generator(BY_NAME[name]).next(5)
    of_kind = np.isin(np.abs(batch.pdg), pdg) & (np.abs(batch.status) < 100)
    assert (np.bincount(batch.event[of_kind], minlength=len(batch)) >= least).all()
    final = batch.status > 0
    energy = np.bincount(batch.event[final], batch.e[final])
    np.testing.assert_allclose(energy, ENERGY, rtol=1e-4)


def test_soft_bombs_conserve_energy_and_momentum() -> None:
    rng = np.random.default_rng(1)
    for mass in (10.0, 125.0, 400.0):
        momenta = thermal_momenta(mass, rng)
        assert len(momenta) >= 2
        np.testing.assert_allclose(momenta.sum(axis=0), 0.0, atol=1e-9 * mass)
        assert np.sqrt((momenta**2).sum(axis=1) + 4.0).sum() == pytest.approx(mass)
