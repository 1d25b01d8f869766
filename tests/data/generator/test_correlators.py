"""Our correlators and FastJet's are the same numbers; the 16 features follow from them."""

import awkward as ak
import fastjet
import numpy as np
import pytest

from triggerforge.data.features import HIGH_LEVEL
from triggerforge.data.generator.correlators import correlators
from triggerforge.data.generator.features import high_level_features
from triggerforge.data.generator.jets import cluster, four_vectors
from triggerforge.data.generator.particles import Kind, Particles

JETS = 40


def cones(rng: np.random.Generator, sizes: list[int]) -> Particles:
    """One cone of massless particles an event, of radius 0.4 around (0.3, 3.1)."""
    count = sum(sizes)
    return Particles(
        event=np.repeat(np.arange(len(sizes)), sizes),
        pt=rng.exponential(20.0, count) + 0.5,
        eta=0.3 + rng.uniform(-0.4, 0.4, count),
        phi=np.mod(3.1 + rng.uniform(-0.4, 0.4, count) + np.pi, 2 * np.pi) - np.pi,
        mass=np.zeros(count),
        charge=np.zeros(count, dtype=np.int8),
        kind=np.full(count, Kind.PHOTON, dtype=np.int8),
    )


@pytest.fixture(scope="module")
def particles() -> Particles:
    rng = np.random.default_rng(3)
    return cones(rng, [1, 2, 3, 4, *rng.integers(5, 60, JETS - 4).tolist()])


@pytest.mark.parametrize(
    ("points", "angles", "beta"),
    [(2, -1, 0), (2, -1, 1), (2, -1, 2)] + [(3, a, b) for a in (1, 2, 3) for b in (1, 2)],
)
def test_sums_equal_fastjets(particles: Particles, points: int, angles: int, beta: int) -> None:
    counts = np.bincount(particles.event)
    ours = correlators(counts, particles.pt, particles.eta, particles.phi)
    sums = ours.e2 if points == 2 else {1: ours.e3_smallest, 2: ours.e3_two, 3: ours.e3}[angles]
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 10.0)
    sequence = fastjet.ClusterSequence(four_vectors(particles, counts), definition)
    theirs = sequence.exclusive_jets_energy_correlator(
        njets=1, beta=beta, npoint=points, angles=angles, func="generalized"
    )
    np.testing.assert_allclose(sums[beta], ak.to_numpy(theirs), rtol=1e-10, atol=1e-15)


def test_two_particles_by_hand() -> None:
    c = correlators(np.array([2, 0]), np.array([30.0, 10.0]), np.array([0.0, 0.3]), np.zeros(2))
    assert c.e2[0][0] == pytest.approx(0.75 * 0.25)
    assert c.e2[1][0] == pytest.approx(0.75 * 0.25 * 0.3)
    assert c.e2[2][0] == pytest.approx(0.75 * 0.25 * 0.09)
    assert c.e3[1].tolist() == [0.0, 0.0]
    assert c.e2[1][1] == 0.0


def test_features(particles: Particles) -> None:
    jets = cluster(particles, JETS, radius=2.0, pt_min=0.0)
    found = high_level_features(jets, radius=2.0)
    assert tuple(found) == HIGH_LEVEL
    assert len(HIGH_LEVEL) == 16
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        assert values.shape == (JETS,)
    np.testing.assert_array_equal(found["j_multiplicity"], np.bincount(particles.event))
    assert (found["j_mass_mmdt"] <= jets.mass + 1e-6).all()
    assert (found["j_zlogz"] <= 0).all()
    one = found["j_multiplicity"] == 1
    assert found["j_c2_b1_mmdt"][one].tolist() == [0.0]
    assert found["j_zlogz"][one].tolist() == [0.0]


def test_grooming_keeps_two_hard_prongs_and_drops_soft_wide_radiation() -> None:
    rng = np.random.default_rng(0)
    hard = cones(rng, [3])
    prongs = Particles(
        **vars(hard)
        | {
            "pt": np.array([300.0, 200.0, 5.0]),
            "eta": np.array([-0.1, 0.1, 0.7]),
            "phi": np.zeros(3),
        }
    )
    jets = cluster(prongs, 1, radius=1.0, pt_min=100.0)
    groomed = high_level_features(jets, radius=1.0)["j_mass_mmdt"][0]
    assert groomed == pytest.approx(np.sqrt(2 * 300 * 200 * (np.cosh(0.2) - 1)), rel=1e-6)
    assert jets.mass[0] > groomed
