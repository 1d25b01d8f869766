"""Trigger objects of towers set by hand, and of single particles through the calorimeter."""

from functools import partial

import numpy as np
import pytest

from tests.data.generator.conftest import shoot
from triggerforge.data.generator.l1.digitise import Primitives, digitise, region_map
from triggerforge.data.generator.l1.egamma import find_egamma
from triggerforge.data.generator.l1.jetfinder import find_jets
from triggerforge.data.generator.l1.muons import find_muons, measured
from triggerforge.data.generator.l1.sums import jet_ht, missing_et
from triggerforge.data.generator.l1.towers import (
    CELLS,
    CENTRAL,
    COLUMNS,
    ETA_CENTRES,
    ETA_EDGES,
    RINGS,
    deposit,
)
from triggerforge.data.generator.particles import Kind

COUNT = 4000
gun = partial(shoot, COUNT)
ECAL, HCAL = 0, 1


def towers(*hits: tuple[int, int, int, float]) -> Primitives:
    """One crossing with hits (layer, ring, column, ET in GeV)."""
    et = np.zeros((1, 2, RINGS, COLUMNS))
    for layer, ring, column, energy in hits:
        et[0, layer, ring, column] = energy
    return digitise(et)


def test_rings_are_cms_towers() -> None:
    assert RINGS == 80 and slice(12, 68) == CENTRAL
    np.testing.assert_allclose(ETA_EDGES, -ETA_EDGES[::-1])
    assert (np.diff(ETA_EDGES) > 0).all()
    assert ETA_EDGES[CENTRAL.stop] == 3.0


def test_towers_are_truncated_saturated_and_counted() -> None:
    found = towers((ECAL, 30, 0, 0.49), (ECAL, 30, 1, 7.9), (ECAL, 30, 2, 400), (HCAL, 30, 2, 400))
    assert found.total[0, 30, :3].tolist() == [0, 15, 510]
    assert found.saturated == 2


def test_forward_towers_share_their_energy() -> None:
    found = towers((HCAL, 2, 10, 12.0))
    assert found.total[0, 2, 9:13].tolist() == [0, 12, 12, 0]


def test_regions_saturate_and_are_counted() -> None:
    hits = [(layer, 12, column, 127.5) for layer in (0, 1) for column in range(4)]
    regions, over = region_map(towers(*hits))
    assert regions[0, 0, 0] == 1023 and over[0, 0, 0]
    assert regions.sum() == 1023 and over.sum() == 1


def test_a_jet_is_its_window() -> None:
    found = towers((ECAL, 40, 0, 30.0), (HCAL, 42, 70, 20.0), (HCAL, 44, 4, 10.0))
    _, jets = find_jets(found)
    assert len(jets) == 1
    assert jets[0, 0] == pytest.approx(60.0 * 1.1)
    assert jets[0, 1] == pytest.approx(ETA_CENTRES[40])
    assert jets[0, 2] == pytest.approx(np.pi / COLUMNS)


def test_even_pile_up_is_subtracted_and_equal_towers_give_one_jet() -> None:
    et = np.full((1, 2, RINGS, COLUMNS), 1.0)
    et[0, HCAL, 40, 30:32] = 25.0
    _, jets = find_jets(digitise(et))
    assert len(jets) == 1
    assert jets[0, 0] == pytest.approx(1.1 * 48.0)


def test_electrons_are_found_and_hadrons_are_not() -> None:
    _, electron = find_egamma(towers((ECAL, 40, 5, 20.0), (ECAL, 41, 6, 6.0)))
    assert electron.tolist() == [[26.0, ETA_CENTRES[40], pytest.approx(5.5 * 2 * np.pi / COLUMNS)]]
    _, hadron = find_egamma(towers((ECAL, 40, 5, 20.0), (HCAL, 40, 5, 10.0)))
    assert not len(hadron)
    _, forward = find_egamma(towers((ECAL, 4, 4, 40.0)))
    assert not len(forward)


def test_missing_et_points_away() -> None:
    found = missing_et(towers((HCAL, 40, 0, 50.0)))
    assert found[0, 0] == pytest.approx(50.0)
    assert found[0, 2] == pytest.approx(np.pi / COLUMNS - np.pi)
    balanced = missing_et(towers((HCAL, 40, 0, 50.0), (ECAL, 20, 36, 50.0)))
    assert balanced[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert missing_et(towers((HCAL, 3, 0, 50.0)))[0, 0] == 0


def test_ht_is_of_central_jets_above_30_gev() -> None:
    jets = np.array([[100, 0, 0], [29, 0, 0], [60, 2.6, 0], [40, -2.4, 0]], float)
    assert jet_ht(np.array([0, 0, 0, 1]), jets, 3).tolist() == [100.0, 40.0, 0.0]


@pytest.mark.parametrize(("kind", "layer"), [(Kind.PHOTON, ECAL), (Kind.NEUTRAL_HADRON, HCAL)])
@pytest.mark.parametrize("eta", [0.4, -2.0, 4.0])
def test_particles_leave_their_energy(kind: Kind, layer: int, eta: float) -> None:
    found = deposit(gun(kind, 60.0, eta), COUNT, np.random.default_rng(2))
    event = np.repeat(np.arange(COUNT), found.counts)
    total = np.bincount(event, found.et, minlength=COUNT)
    assert total.mean() == pytest.approx(60.0, rel=0.02)
    ring = found.cell % CELLS // COLUMNS
    assert ((ETA_EDGES[ring] <= eta) & (eta < ETA_EDGES[ring + 1])).all()
    assert found.et[found.cell // CELLS == layer].sum() > 0.5 * found.et.sum()


def test_soft_charged_particles_do_not_arrive() -> None:
    soft = deposit(gun(Kind.CHARGED_HADRON, 0.5, 0.1, 1, 0.14), COUNT, np.random.default_rng(2))
    assert not len(soft.cell)


def test_muons_leave_nothing_and_are_found() -> None:
    muons = gun(Kind.MUON, 25.0, 1.0, 1, 0.106)
    assert not len(deposit(muons, COUNT, np.random.default_rng(2)).cell)
    assert find_muons(muons, COUNT, np.random.default_rng(2)).counts.tolist() == [1] * COUNT
    assert not len(find_muons(gun(Kind.MUON, 2.0, 1.0, 1), COUNT, np.random.default_rng(2)).pt)


@pytest.mark.parametrize(("eta", "efficiency"), [(0.3, 0.95), (1.0, 0.90), (-2.0, 0.95)])
def test_a_muon_threshold_is_at_90_percent_of_the_plateau(eta: float, efficiency: float) -> None:
    pt, ones = np.full(20_000, 22.0), np.ones(20_000)
    values, found = measured(pt, eta * ones, 0 * ones, np.random.default_rng(3))
    assert found.mean() == pytest.approx(efficiency, abs=0.01)
    assert (values[:, 0] >= 22.0).mean() == pytest.approx(0.90, abs=0.02)


@pytest.mark.parametrize(("mass", "chance"), [(0.1396, 0.0030), (0.4937, 0.014)])
def test_pions_and_kaons_decay_in_flight(mass: float, chance: float) -> None:
    """By hand: 1.29 m x mass / (8 GeV x c tau), times the branching fraction."""
    meson = gun(Kind.CHARGED_HADRON, 8.0, 0.2, 1, mass)
    rng = np.random.default_rng(5)
    found = [find_muons(meson, COUNT, rng) for _ in range(5)]
    pt = np.concatenate([muons.pt for muons in found])
    # below 3 GeV a muon is not found: none of a pion's, 0.31 of a kaon's
    part = 1.0 if mass < 0.2 else (1 - 3 / 8) / (1 - 0.0458)
    expected = chance * part * 5 * COUNT
    assert abs(len(pt) - expected) < 4 * np.sqrt(expected)
    assert (pt < 8.0).all() and (pt > 3.0).all()
