"""A network of the user's own that has no fixed-point form is refused before it is trained."""

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import uproot
from torch import nn

from triggerforge.compression.lowering import checked_graph
from triggerforge.compression.qkeras import QKERAS_OPERATIONS, WORKER, require_qkeras_form
from triggerforge.config import RunConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ModelError, UnsupportedOperationError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.pipeline import Run, execute
from triggerforge.training.models.registry import MODELS

SOURCE = """
from torch import nn

class Normed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2))

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.a(x) * self.b(x)

class Plain:
    pass
"""


def contract_of(shape: tuple[int, ...]) -> InputContract:
    fmt = FixedFormat.parse("ap_fixed<8,3,RND,SAT>")
    names = [f"x{i}" for i in range(shape[-1])]
    return InputContract(tuple(InputFeature(n, "", 0.0, 0, fmt) for n in names), shape)


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


@pytest.mark.parametrize(
    ("shape", "module", "words"),
    [
        ((4, 3), lambda: MODELS["deepsets"](contract_of((4, 3)), 2), "slice|multiply|sum"),
        ((8, 8, 1), lambda: MODELS["cnn"](contract_of((8, 8, 1)), 2, pool=2), "conv with padding"),
    ],
)
def test_a_network_that_qkeras_cannot_be_given(
    shape: tuple[int, ...], module: Callable[[], nn.Module], words: str
) -> None:
    graph, _ = checked_graph(module(), contract_of(shape))
    with pytest.raises(UnsupportedOperationError, match=rf"({words}).* no QKeras form"):
        require_qkeras_form(graph)


def test_qkeras_is_asked_before_the_training(tmp_path: Path) -> None:
    mine = run(tmp_path, "Gated")
    compress = mine.config.compress.model_copy(update={"method": "qkeras"})
    qkeras = Run(mine.config.model_copy(update={"compress": compress}), tmp_path / "runs")
    with pytest.raises(UnsupportedOperationError, match="no QKeras form"):
        execute(qkeras, "export")
    assert not (tmp_path / "runs" / "mine" / "train").exists()


def test_the_worker_has_a_converter_for_every_operation() -> None:
    """Its file cannot be imported here: it needs TensorFlow 2.14."""
    tree = ast.parse((WORKER.parent / "network.py").read_text())
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "CONVERTERS"
    )
    assert isinstance(table, ast.Dict)
    assert {ast.literal_eval(key) for key in table.keys if key} | {"input"} == QKERAS_OPERATIONS


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
