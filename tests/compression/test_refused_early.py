"""A network of the user's own that has no fixed-point form is refused before it is trained."""

from pathlib import Path

import numpy as np
import pytest
import uproot

from triggerforge.config import RunConfig
from triggerforge.errors import ModelError, UnsupportedOperationError
from triggerforge.pipeline import Run, execute

SOURCE = """
from torch import nn

class Normed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2))

class Plain:
    pass
"""


def run(folder: Path, class_name: str) -> Run:
    (folder / "mine.py").write_text(SOURCE)
    y = np.arange(120) % 2
    random = np.random.default_rng(0)
    with uproot.recreate(folder / "events.root") as file:
        columns = {name: random.normal(size=120) for name in "ab"}
        file.mktree("t", {"a": "f8", "b": "f8", "y": "i4"}).extend(columns | {"y": y})
    data = {"source": [str(folder / "events.root")], "format": "root", "label": "y"}
    data |= {"classes": ["s", "b"], "inputs": {"names": ["a", "b"]}}
    train = {"model": {"file": str(folder / "mine.py"), "class": class_name}, "epochs": 1}
    tree = {"name": "mine", "data": data, "train": train}
    return Run(RunConfig.model_validate(tree), folder / "runs")


def test_a_layer_without_a_fixed_point_form(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperationError, match="1: LayerNorm .* BatchNorm1d"):
        execute(run(tmp_path, "Normed"), "export")
    assert not (tmp_path / "runs" / "mine" / "train").exists()


def test_it_may_still_be_trained_by_itself(tmp_path: Path) -> None:
    execute(run(tmp_path, "Normed"), "train")
    assert (tmp_path / "runs" / "mine" / "train" / "model.pt").is_file()


def test_arguments_are_looked_at_before_events_are_made(tmp_path: Path) -> None:
    tree = {
        "name": "typo",
        "generate": {"recipe": "jets5", "jets": 1_000_000},
        "data": {},
        "train": {"model": {"name": "mlp", "kwargs": {"hiden": [4]}}},
    }
    with pytest.raises(ModelError, match="no argument 'hiden'; did you mean 'hidden'"):
        execute(Run(RunConfig.model_validate(tree), tmp_path), "train")
    assert not (tmp_path / "typo" / "generate").exists()


def test_errors_name_the_users_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"{tmp_path}/mine\.py is no class of torch\.nn\.Module"):
        execute(run(tmp_path, "Plain"), "compress")
