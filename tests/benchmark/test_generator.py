"""The generator's benchmarks print what their documentation says, and can fail."""

from pathlib import Path

import numpy as np
import pytest
import uproot

from triggerforge.benchmark import generator, physics
from triggerforge.data.generator.schema import BRANCH_DOCS, TREE, describe

CLASSES = ("q", "g", "W", "Z", "t")
JETS = 3000


def write_jets(path: Path, w_mass: float, gluon_multiplicity: float) -> None:
    rng = np.random.default_rng(1)
    masses = (20.0, 40.0, w_mass, 91.2, 173.0)
    multiplicities = (40.0, gluon_multiplicity, 40.0, 40.0, 60.0)
    with uproot.recreate(path) as file:
        file[BRANCH_DOCS] = describe(CLASSES)
        file[TREE] = {
            "label": np.repeat(np.arange(5, dtype=np.int32), JETS),
            "j_mass_mmdt": np.concatenate([rng.normal(m, 0.07 * m, JETS) for m in masses]),
            "j_multiplicity": np.concatenate(
                [rng.poisson(m, JETS).astype(np.float32) for m in multiplicities]
            ),
        }


def test_good_physics_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jets(tmp_path / "events.root", w_mass=80.4, gluon_multiplicity=60.0)
    assert physics.main(str(tmp_path / "events.root")) == 0
    out = capsys.readouterr().out
    assert out.count("within 3%") == 3
    assert "gluon > quark holds" in out


@pytest.mark.parametrize(("w_mass", "gluons"), [(86.0, 60.0), (80.4, 39.0)])
def test_bad_physics_fails(tmp_path: Path, w_mass: float, gluons: float) -> None:
    write_jets(tmp_path / "events.root", w_mass, gluons)
    assert physics.main(str(tmp_path / "events.root")) == 1


def test_speed_has_a_row_for_each_class(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "_EVENTS", 5)
    monkeypatch.setattr(generator, "_CHUNK", 5)
    generator.main("toptag", 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["QCD", "top"]
    assert all(len(line.split()) == 7 for line in lines[2:])
    assert all(float(number) > 0 for line in lines[2:] for number in line.split()[1:])
