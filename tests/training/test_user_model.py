"""A user's own nn.Module from their own file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.config.train import TrainConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Splits
from triggerforge.errors import ArtifactError, ModelError
from triggerforge.training.train import train
from triggerforge.training.trained import load_trained

Contracts = Callable[..., InputContract]
Data = Callable[..., Splits]

SOURCE = """
from dataclasses import dataclass
from torch import nn

@dataclass
class Sizes:
    hidden: int = 8

class Net(nn.Module):
    def __init__(self, n_classes, contract, hidden=8):
        super().__init__()
        sizes = Sizes(hidden)
        self.a = nn.Linear(contract.shape[0], sizes.hidden)
        self.b = nn.Linear(sizes.hidden, n_classes)

    def forward(self, x):
        return self.b(self.a(x).relu())

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x):
        return self.layer(x)

class Narrow(Plain):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

class FourClasses(Plain):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 4)

class Pair(Plain):
    def forward(self, x):
        return self.layer(x), x

class Silent(Plain):
    def __init__(self):
        super().__init__()
        del self.layer

    def forward(self, x):
        return x[:, :3]

class NoModule:
    pass
"""


@pytest.fixture
def run(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> Callable[..., tuple[Any, Splits, Path]]:
    """Trains `class_name` of a file with SOURCE (or `source`) and gives model, data and folder."""

    def train_one(class_name: str, source: str = SOURCE, **kwargs: Any) -> tuple[Any, Splits, Path]:
        file = tmp_path / "mine.py"
        file.write_text(source)
        data = make_splits(make_contract((6,)), 300)
        model = {"file": str(file), "class": class_name, "kwargs": kwargs}
        config = TrainConfig.model_validate({"model": model, "epochs": 3, "batch_size": 64})
        folder = tmp_path / "stage"
        return train(config, data, 1, folder), data, folder

    return train_one


@pytest.mark.parametrize(("name", "kwargs"), [("Net", {"hidden": 5}), ("Net", {}), ("Plain", {})])
def test_trains_and_is_read_back_without_its_file(
    run: Callable[..., Any], tmp_path: Path, name: str, kwargs: dict[str, Any]
) -> None:
    trained, data, folder = run(name, **kwargs)
    (tmp_path / "mine.py").write_text("raise RuntimeError('changed')")
    again = load_trained(folder)
    assert type(again.module).__name__ == name
    np.testing.assert_array_equal(again.predict(data.test.x), trained.predict(data.test.x))
    assert json.loads((folder / "record.json").read_text())["training"]["model"] == name


def test_its_file_is_part_of_the_key() -> None:
    config = TrainConfig.model_validate({"model": {"file": "a.py", "class": "Net"}})
    assert config.input_files() == [Path("a.py")]
    assert TrainConfig().input_files() == []
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net", r"mine\.py has no class 'net'; did you mean 'Net'\? known: .*Plain"),
        ("NoModule", r"'NoModule' in .*mine\.py is no class of torch.nn.Module"),
        ("Narrow", r"'Narrow' with an input of shape \(2, 6\) .*f0, f1.* fails: mat1 and mat2"),
        ("FourClasses", r"output of shape \(2, 4\), but there are 3 classes"),
        ("Pair", "gives tuple; it must give one tensor"),
        ("Silent", "no parameters to train"),
    ],
)
def test_a_class_that_does_not_fit_is_refused(
    run: Callable[..., Any], name: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        run(name)


def test_arguments_that_do_not_fit_are_refused(run: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match="takes no argument 'hiden'; did you mean 'hidden'"):
        run("Net", hiden=3)
    needs = SOURCE.replace("hidden=8):", "hidden):")
    with pytest.raises(ModelError, match="missing a required argument: 'hidden'"):
        run("Net", needs)
    with pytest.raises(ModelError, match="cannot be built with {'hidden': 'x'}: TypeError"):
        run("Net", hidden="x")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import my_own_helpers", "ModuleNotFoundError.* self-contained"),
        ("class Net(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_file_that_does_not_run_is_named(
    run: Callable[..., Any], source: str, message: str
) -> None:
    with pytest.raises(ModelError, match=rf"mine\.py does not run .*{message}") as caught:
        run("Net", source)
    assert "model_source.py" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(
    make_contract: Contracts, make_splits: Data, tmp_path: Path
) -> None:
    model = {"file": str(tmp_path / "none.py"), "class": "Net"}
    config = TrainConfig.model_validate({"model": model})
    with pytest.raises(ModelError, match=r"none\.py.*No such file"):
        train(config, make_splits(make_contract((6,)), 90), 1, tmp_path / "stage")


def test_a_changed_copy_is_not_run(run: Callable[..., Any]) -> None:
    _, _, folder = run("Plain")
    (folder / "model_source.py").write_text("raise RuntimeError('never run')")
    with pytest.raises(ArtifactError, match="is not the file that was trained"):
        load_trained(folder)
