import numpy as np
import pytest

from triggerforge.config.data import InputsConfig
from triggerforge.data.features import InputBuilder, jet_images
from triggerforge.data.kinematics import EVENT, PARTICLE, Plan, wrapped
from triggerforge.data.readers.base import Chunk
from triggerforge.errors import DataError


def test_images_hold_the_pt_in_each_pixel() -> None:
    eta = np.array([-0.79, 0.0, 0.79, 0.9, 0.01])
    phi = np.array([-0.79, 0.0, 0.79, 0.0, 0.01])
    weight = np.array([0.1, 0.2, 0.3, 9.0, 0.4])
    event = np.array([0, 0, 0, 0, 1])
    images = jet_images(eta, phi, weight, event, 3, 40, 0.8)
    assert images.shape == (3, 40, 40, 1) and images.dtype == np.float64
    assert images[0, 0, 0, 0] == 0.1
    assert images[0, 39, 39, 0] == (0.3)
    assert images[0, 20, 20, 0] == (0.2)
    assert images[1, 20, 20, 0] == (0.4)
    np.testing.assert_allclose(images.sum(axis=(1, 2, 3)), [0.6, 0.4, 0], rtol=1e-6)


def test_a_nan_constituent_shows_in_its_image() -> None:
    images = jet_images(
        np.array([0.0, np.nan]), np.zeros(2), np.ones(2), np.array([0, 1]), 2, 4, 1.0
    )
    assert np.isfinite(images[0]).all() and np.isnan(images[1]).any()


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, -0.9])
def test_rotation_brings_the_principal_axis_along_phi(angle: float) -> None:
    """A line of constituents at any angle ends up on the middle rows."""
    place = np.linspace(-0.5, 0.5, 11)
    builder = InputBuilder(InputsConfig(kind="image", pixels=8, half_width=0.8, rotate=True))
    particles = {
        "pt_rel": np.ones(11),
        "deta": place * np.sin(angle) + 1e-9,
        "dphi": place * np.cos(angle),
    }
    image = builder.build(1, {}, particles, np.array([11])).raw[0, :, :, 0]
    assert image[3:5].sum() == 11


def test_valid_stands_last() -> None:
    builder = InputBuilder(InputsConfig(kind="constituents", names=("valid", "pt")))
    assert builder.names == ("pt", "valid")


@pytest.mark.parametrize("kind", ["features", "constituents", "image"])
def test_defaults_and_shapes(kind: str) -> None:
    builder = InputBuilder(InputsConfig(kind=kind))
    shapes = {"features": (16,), "constituents": (16, 4), "image": (40, 40, 1)}
    assert builder.shape == shapes[kind]
    assert builder.shape[-1] == len(builder.names)


OWN = frozenset(n for n in EVENT if n in PARTICLE or n == "mass")
"""quantities that follow from an event's own four-vector, where it has one"""


def test_every_recipe_is_reachable_from_an_events_own_four_vector() -> None:
    vector = {n: np.array([3.0, 4.0]) for n in ("px", "py", "pz")} | {"energy": np.full(2, 10.0)}
    plan = Plan(frozenset(vector), frozenset(), OWN | {"jet_mass"}, frozenset(), "test")
    columns = plan.columns(Chunk(0, vector, {}, None, size=2))
    for name in OWN:
        assert columns[name].shape == (2,), name
    np.testing.assert_allclose(columns["mass"], np.sqrt(100 - 3 * np.array([9.0, 16.0])))
    np.testing.assert_array_equal(columns["jet_mass"], columns["mass"])


def test_every_recipe_is_reachable_from_four_vectors() -> None:
    plan = Plan(
        frozenset(),
        frozenset({"px", "py", "pz", "energy", "pdgid"}),
        frozenset(EVENT) - OWN,
        frozenset(PARTICLE),
        "test",
    )
    rng = np.random.default_rng(2)
    particles = {n: rng.normal(size=5) for n in ("px", "py", "pz")}
    particles["energy"] = np.full(5, 10.0)
    particles["pdgid"] = np.array([211, -11, 22, 13, 130])
    columns = plan.columns(Chunk(0, {}, particles, np.array([2, 0, 3]), size=3))
    for name in EVENT.keys() - OWN:
        assert columns[name].shape == (3,), name
    for name in PARTICLE:
        assert columns.particles[name].shape == (5,), name
    taken = columns.take(np.array([0, 2]))
    np.testing.assert_allclose(taken["jet_pt"], columns["jet_pt"][[0, 2]])
    np.testing.assert_array_equal(taken.particles["px"], particles["px"])


def test_an_events_mass_is_not_made_up() -> None:
    """Constituents are taken as massless, a jet is not."""
    columns = frozenset({"pt", "eta", "phi"})
    Plan(frozenset(), columns, frozenset(), frozenset({"energy"}), "file")
    for name in ("mass", "energy", "jet_mass"):
        with pytest.raises(DataError, match=f"no quantity of an event '{name}'"):
            Plan(columns, frozenset(), frozenset({name}), frozenset(), "file")


def test_what_cannot_be_derived_names_the_nearest() -> None:
    columns = frozenset({"px", "py"})
    with pytest.raises(DataError, match="file: no quantity of a constituent 'deta'"):
        Plan(frozenset(), columns, frozenset(), frozenset({"deta"}), "file")
    with pytest.raises(DataError, match="did you mean 'log_pt'"):
        Plan(frozenset(), columns, frozenset(), frozenset({"logpt"}), "file")


def test_angles_wrap() -> None:
    np.testing.assert_allclose(
        wrapped(np.array([0.0, np.pi, -np.pi, 4.0])), [0, -np.pi, -np.pi, 4 - 2 * np.pi]
    )
