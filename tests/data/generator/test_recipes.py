"""A recipe is a YAML file: those that come along, and the user's own."""

import json
from pathlib import Path
from typing import Any

import pytest
import uproot
import yaml
from pydantic import ValidationError

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate
from triggerforge.data.generator.recipes import load_recipe
from triggerforge.errors import ConfigError

SHIPPED = Path(load_recipe.__code__.co_filename).with_name("recipe_files")


def own(folder: Path, **changes: Any) -> Path:
    """The toptag recipe with some keys changed, as a file."""
    tree = yaml.safe_load((SHIPPED / "toptag.yaml").read_text()) | changes
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_jets_of_a_recipe_of_ones_own(tmp_path: Path) -> None:
    z = {
        "name": "Z",
        "pythia": ["WeakBosonAndParton:qqbar2gmZg = on", "23:onMode = off", "23:onIfAny = 1 2 3"],
        "parents": [23],
    }
    g = {"name": "gluon", "pythia": ["HardQCD:gg2gg = on"], "parents": [21]}
    recipe = own(tmp_path, classes=[z, g], jet_pt=[300, 400], radius=1.0, detector="none")
    config = GenerateConfig(recipe=str(recipe), jets=12, chunk_jets=6, workers=1)
    assert config.input_files() == [recipe]
    with uproot.open(generate(config, 1, tmp_path / "out")) as file:
        jets = file["jets"].arrays(["label", "jet_pt"], library="np")
        assert json.loads(str(file["branches"]))["classes"] == ["Z", "gluon"]
    assert sorted(jets["label"].tolist()) == [0] * 6 + [1] * 6
    assert (jets["jet_pt"] > 300).all() and (jets["jet_pt"] < 400).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radios": 0.8}, "unknown key 'radios'; did you mean 'radius'"),
        ({"energy": -1}, "energy: .* it is -1"),
        ({"detector": "CDF"}, "detector: .* 'CMS', 'ATLAS' or 'none'; it is 'CDF'"),
        ({"classes": []}, "classes"),
        (
            {"classes": [{"name": "a", "pythia": ["x"], "parent": [1]}] * 2},
            "did you mean 'parents'",
        ),
        ({"classes": [{"name": "a", "pythia": ["x"], "parents": [1]}] * 2}, "do not differ"),
    ],
)
def test_a_recipe_that_is_not_right(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = own(tmp_path, **changes)
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{message}"):
        generate(GenerateConfig(recipe=str(path)), 1, tmp_path)


@pytest.mark.parametrize(
    ("recipe", "message"), [("toptga", "did you mean 'toptag'"), ("none.yaml", "no such file")]
)
def test_a_recipe_that_is_not_there(recipe: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GenerateConfig(recipe=recipe)
