"""model.pt and model.json: damage is named, and no code in them is run."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from triggerforge.config.train import TrainConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Splits
from triggerforge.errors import ArtifactError, ModelError, RegistryError
from triggerforge.training.train import train
from triggerforge.training.trained import load_trained


@pytest.fixture
def folder(
    make_contract: Callable[..., InputContract], make_splits: Callable[..., Splits], tmp_path: Path
) -> Path:
    """A finished training of an mlp with 6 inputs and 3 classes."""
    train(TrainConfig(epochs=1), make_splits(make_contract((6,)), 90), 1, tmp_path)
    return tmp_path


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", ["model.pt", "model.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise", "folder"])
def test_damaged_files_are_named(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        parts = {"empty": b"", "cut": content[: len(content) // 2], "noise": b"\x93" * 500}
        path.write_bytes(parts[damage])
    with pytest.raises(ArtifactError, match=name):
        load_trained(folder)


@pytest.mark.parametrize("key", ["architecture", "contract", "classes", "history"])
@pytest.mark.parametrize("value", [None, 3, {"features": 1}])
def test_spoiled_records_are_named(folder: Path, key: str, value: Any) -> None:
    if key in ("classes", "history") and isinstance(value, dict):
        value = None
    edit(folder, **{key: value})
    with pytest.raises(ArtifactError, match=r"model\.json lacks or spoils"):
        load_trained(folder)


def test_another_version_is_refused(folder: Path) -> None:
    edit(folder, version=99)
    with pytest.raises(ArtifactError, match="has version 99, this triggerforge reads 2"):
        load_trained(folder)


def test_an_unknown_architecture_is_refused(folder: Path) -> None:
    edit(folder, architecture={"name": "transformer", "kwargs": {}})
    with pytest.raises(RegistryError, match="no model 'transformer'"):
        load_trained(folder)


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    edit(folder, architecture={"name": "mlp", "kwargs": {"hidden": [7]}})
    with pytest.raises(ModelError, match=r"(?s)model\.pt does not fit .*body.*train again"):
        load_trained(folder)


def test_weights_that_are_no_state_are_refused(folder: Path) -> None:
    torch.save([torch.zeros(3)], folder / "model.pt")
    with pytest.raises(ArtifactError, match="holds list, not a state"):
        load_trained(folder)


class Trap:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_code_in_a_weights_file_is_not_run(folder: Path, writer: Callable[..., Any]) -> None:
    writer({"body.0.weight": Trap(folder / "sprung")}, folder / "model.pt")
    with pytest.raises(ArtifactError, match=r"model\.pt cannot be read"):
        load_trained(folder)
    assert not (folder / "sprung").exists()
