"""Mass peaks and multiplicities are where they are known to be."""

import numpy as np
import pytest

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generator.chunk import ChunkTask, make_chunk
from triggerforge.data.generator.events import Generator
from triggerforge.data.generator.peak import mass_peak
from triggerforge.data.generator.recipes import resolve
from triggerforge.data.generator.sample import Columns
from triggerforge.data.generator.truth import parents
from triggerforge.errors import DataError

RECIPE = resolve(GenerateConfig(recipe="jets5"))


def jets(name: str, count: int) -> Columns:
    label = [c.name for c in RECIPE.classes].index(name)
    return make_chunk(ChunkTask(RECIPE, label, index=0, jets=count, seed=2))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mass"), [("W", 80.4), ("Z", 91.2), ("t", 173.0)])
def test_groomed_mass_peak(name: str, mass: float) -> None:
    peak, error = mass_peak(jets(name, 1200)["j_mass_mmdt"].astype(np.float64))
    assert error < 0.015 * mass
    assert abs(peak - mass) < 0.03 * mass


def test_gluon_jets_have_more_constituents() -> None:
    quark, gluon = (jets(name, 200)["j_multiplicity"].astype(float) for name in "qg")
    error = np.hypot(quark.std(), gluon.std()) / np.sqrt(200)
    assert gluon.mean() - quark.mean() > 5 * error


def test_top_quarks_and_their_decay() -> None:
    recipe = resolve(GenerateConfig(recipe="toptag"))
    top = recipe.classes[1]
    batch = Generator(recipe.settings(top, seed=1)).next(20)
    truth = parents(batch, top.parents, with_decay=True)
    assert truth.event.tolist() == np.repeat(np.arange(20), 2).tolist()
    assert truth.decay is not None
    assert truth.decay.shape == (40, 3, 2)
    assert np.isfinite(truth.decay).all()


def test_quark_and_gluon_parents_are_the_outgoing_pair() -> None:
    for jet_class in RECIPE.classes[:2]:
        batch = Generator(RECIPE.settings(jet_class, seed=1)).next(10)
        truth = parents(batch, jet_class.parents, with_decay=False)
        assert np.bincount(truth.event).max() == 2
        assert len(truth.event) >= 15


def test_peak_of_a_known_shape() -> None:
    rng = np.random.default_rng(1)
    mass = np.concatenate([rng.normal(80.0, 6.0, 4000), rng.uniform(0.0, 150.0, 1500)])
    peak, error = mass_peak(mass)
    assert error < 0.5
    assert abs(peak - 80.0) < 3 * error


def test_too_few_jets_for_a_peak() -> None:
    with pytest.raises(DataError, match="generate more jets"):
        mass_peak(np.linspace(60.0, 100.0, 30))
