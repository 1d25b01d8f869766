"""Each part of the detector gives the resolutions and efficiencies that the cards state."""

from functools import partial

import numpy as np
import pytest

from tests.data.generator.conftest import shoot
from triggerforge.data.generator.calorimeter import TowerGrid
from triggerforge.data.generator.cards import CARDS, Card
from triggerforge.data.generator.detector import respond
from triggerforge.data.generator.particles import Kind, Particles
from triggerforge.data.generator.tracker import calorimeter_phi, log_normal, reconstruct

COUNT = 20_000
gun = partial(shoot, COUNT)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(params=sorted(CARDS))
def card(request: pytest.FixtureRequest) -> Card:
    return CARDS[request.param]


@pytest.mark.parametrize("eta", [0.2, 1.2, 2.2])
@pytest.mark.parametrize("kind", [Kind.PHOTON, Kind.NEUTRAL_HADRON])
def test_neutral_energy_is_unbiased_with_the_cards_resolution(
    card: Card, kind: Kind, eta: float, rng: np.random.Generator
) -> None:
    particles = gun(kind, pt=200.0, eta=eta)
    true = particles.energy[0]
    found = respond(particles, card, rng)
    calorimeter = card.ecal if kind is Kind.PHOTON else card.hcal
    sigma = float(calorimeter.sigma(np.array([true]), np.array([eta]))[0])
    assert len(found) == COUNT
    assert set(found.kind) == {kind}
    assert abs(found.energy.mean() - true) < 4 * sigma / np.sqrt(COUNT)
    assert found.energy.std() == pytest.approx(sigma, rel=0.06)


def test_sigma_of_the_cards_by_hand() -> None:
    energy, centre = np.array([100.0]), np.array([0.0])
    assert CARDS["CMS"].ecal.sigma(energy, centre)[0] == pytest.approx(
        np.sqrt(0.8**2 + 1.1**2 + 0.4**2)
    )
    assert CARDS["CMS"].hcal.sigma(energy, centre)[0] == pytest.approx(np.hypot(5.0, 15.0))
    assert CARDS["ATLAS"].hcal.sigma(energy, centre)[0] == pytest.approx(
        np.sqrt(3.02**2 + 5.205**2 + 1.59**2)
    )
    assert CARDS["CMS"].ecal.sigma(energy, np.array([2.3]))[0] == pytest.approx(
        (2.16 + 5.6 * 0.09) * np.sqrt(0.8**2 + 1.1**2 + 0.4**2)
    )


@pytest.mark.parametrize(
    ("kind", "pt", "eta", "efficiency"),
    [
        (Kind.CHARGED_HADRON, 20.0, 0.3, 0.95),
        (Kind.CHARGED_HADRON, 0.5, 0.3, 0.70),
        (Kind.CHARGED_HADRON, 20.0, 2.0, 0.85),
        (Kind.CHARGED_HADRON, 20.0, 2.7, 0.0),
        (Kind.CHARGED_HADRON, 0.05, 0.3, 0.0),
        (Kind.ELECTRON, 200.0, 0.3, 0.99),
        (Kind.MUON, 20.0, 2.0, 0.98),
    ],
)
def test_track_efficiency(
    card: Card, kind: Kind, pt: float, eta: float, efficiency: float, rng: np.random.Generator
) -> None:
    tracks = reconstruct(gun(kind, pt, eta, charge=1), card, rng)
    error = np.sqrt(efficiency * (1 - efficiency) / COUNT)
    assert abs(len(tracks.source) / COUNT - efficiency) <= 4 * error


def test_track_momentum_and_angles(rng: np.random.Generator) -> None:
    particles = gun(Kind.MUON, pt=50.0, eta=0.3, charge=-1, mass=0.1057)
    tracks = reconstruct(particles, CARDS["CMS"], rng)
    pt = tracks.measured.pt / 50.0
    expected = np.hypot(0.01, 50 * 1.0e-4)
    assert pt.mean() == pytest.approx(1.0, abs=4 * expected / np.sqrt(len(pt)))
    assert pt.std() == pytest.approx(expected, rel=0.04)
    error = tracks.measured.phi - particles.phi[tracks.source]
    assert error.std() == pytest.approx(7.0e-5 * np.hypot(1, 39 / 50), rel=0.04)


def test_charged_hadrons_are_measured_by_the_tracker(rng: np.random.Generator) -> None:
    found = respond(gun(Kind.CHARGED_HADRON, 20.0, 0.3, charge=1, mass=0.14), CARDS["CMS"], rng)
    charged = found.take(found.charge != 0)
    assert len(charged) / COUNT == pytest.approx(0.95, abs=0.01)
    assert np.median(charged.pt) == pytest.approx(20.0, rel=0.01)
    assert set(charged.kind) == {Kind.CHARGED_HADRON}


def test_muons_leave_nothing_in_the_calorimeters(card: Card, rng: np.random.Generator) -> None:
    found = respond(gun(Kind.MUON, 40.0, 0.3, charge=1, mass=0.1057), card, rng)
    assert set(found.kind) == {Kind.MUON}


@pytest.mark.parametrize("kind", [Kind.PHOTON, Kind.NEUTRAL_HADRON])
def test_thresholds(card: Card, kind: Kind, rng: np.random.Generator) -> None:
    calorimeter = card.ecal if kind is Kind.PHOTON else card.hcal
    found = respond(gun(kind, 4.0, 0.1), card, rng)
    sigma = calorimeter.sigma(found.energy, found.eta)
    assert 0 < len(found) < COUNT or kind is Kind.PHOTON
    assert (found.energy > calorimeter.energy_min).all()
    assert (found.energy > calorimeter.significance_min * sigma).all()


def test_a_photon_beside_a_track_is_found_above_it(rng: np.random.Generator) -> None:
    electron = gun(Kind.ELECTRON, 30.0, 0.305, charge=1)
    photon = gun(Kind.PHOTON, 60.0, 0.305)
    phi, _ = calorimeter_phi(electron, CARDS["ATLAS"])
    photon = Particles(**vars(photon) | {"phi": phi})
    both = Particles(
        **{name: np.concatenate([v, vars(photon)[name]]) for name, v in vars(electron).items()}
    )
    found = respond(both, CARDS["ATLAS"], rng)
    total = np.bincount(found.event, found.energy)
    assert np.median(total) == pytest.approx(90 * np.cosh(0.305), rel=0.02)
    assert set(found.kind) == {Kind.ELECTRON, Kind.PHOTON}


def test_bending(card: Card) -> None:
    charged = gun(Kind.CHARGED_HADRON, 10.0, 0.0, charge=1)
    phi, arrives = calorimeter_phi(charged, card)
    assert arrives.all()
    sagitta = 0.299792458 * card.field * card.radius / 20.0
    shift = np.mod(charged.phi - phi + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(shift, np.arcsin(sagitta), rtol=1e-9)
    _, soft_arrives = calorimeter_phi(gun(Kind.CHARGED_HADRON, 0.2, 0.0, charge=1), card)
    assert not soft_arrives.any()
    neutral = gun(Kind.PHOTON, 0.2, 0.0)
    np.testing.assert_allclose(calorimeter_phi(neutral, card)[0], neutral.phi, atol=1e-12)


def test_towers(card: Card, rng: np.random.Generator) -> None:
    for calorimeter in (card.ecal, card.hcal):
        grid = TowerGrid(calorimeter)
        event = rng.integers(0, 50, 5000)
        eta, phi = rng.uniform(-4.8, 4.8, 5000), rng.uniform(-np.pi, np.pi, 5000)
        keys = grid.keys(event, eta, phi)
        back_event, centre_eta, centre_phi = grid.place(keys, None)
        np.testing.assert_array_equal(back_event, event)
        np.testing.assert_array_equal(grid.keys(back_event, centre_eta, centre_phi), keys)
        np.testing.assert_array_equal(grid.keys(*grid.place(keys, rng)), keys)
        assert (np.abs(centre_eta - eta) < 0.5).all()
        outside = grid.keys(np.array([3, 3]), np.array([5.5, -5.5]), np.zeros(2))
        assert outside.tolist() == [-1, -1]
        assert calorimeter.eta_edges[0] == -calorimeter.eta_edges[-1]
        assert len(calorimeter.phi_bins) == len(calorimeter.eta_edges) - 1


def test_log_normal_has_the_mean_and_width_asked_for(rng: np.random.Generator) -> None:
    values = log_normal(np.full(COUNT, 5.0), np.full(COUNT, 4.0), rng)
    assert values.min() > 0
    assert values.mean() == pytest.approx(5.0, abs=4 * 4.0 / np.sqrt(COUNT))
    assert values.std() == pytest.approx(4.0, rel=0.1)
