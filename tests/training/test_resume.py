"""Kill -9 in the middle of a training, then the same call again: the same bits."""

import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triggerforge.config.train import TrainConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Splits
from triggerforge.training import checkpoint
from triggerforge.training.fit import Fit
from triggerforge.training.train import train
from triggerforge.training.trained import load_trained

Contracts = Callable[..., InputContract]
Data = Callable[..., Splits]

# BatchNorm, dropout, warm-up and momentum: everything that has a state of its own
MODEL = """
from torch import Tensor, nn

class Net(nn.Module):
    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, n_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)
"""

VICTIM = """
import sys
from pathlib import Path
import numpy as np
from triggerforge.config.train import TrainConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.train import train

form = FixedFormat.parse("ap_fixed<12,4,RND,SAT>")
contract = InputContract(tuple(InputFeature(f"f{i}", "", 0.0, 0, form) for i in range(6)), (6,))

def events(seed):
    rng = np.random.default_rng(seed)
    y = np.arange(1500) % 3
    x = np.eye(6)[y] + rng.normal(size=(1500, 6))
    return Dataset(x.astype(np.float32), y, rng.random(1500, np.float32), contract, ("a", "b", "c"))

def run(folder):
    model = {"file": Path(__file__).with_name("net.py"), "class": "Net"}
    settings = {"model": model, "epochs": 30, "batch_size": 32, "threads": 1}
    splits = Splits(events(1), events(2), events(3))
    train(TrainConfig.model_validate(settings), splits, 7, folder)

if __name__ == "__main__":
    run(Path(sys.argv[1]))
"""


def wait_for_epoch(folder: Path, epoch: int, process: "subprocess.Popen[bytes]") -> None:
    """Until a checkpoint of at least `epoch` epochs is there."""
    path = folder / checkpoint.CHECKPOINT_FILE
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.exists():
            state = torch.load(path, weights_only=True)
            if state["progress"]["epoch"] >= epoch:
                return
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    raise AssertionError("no checkpoint in two minutes")


def test_killed_training_gives_the_same_bits(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    victim = tmp_path / "victim.py"
    victim.write_text(VICTIM)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, victim, killed], stderr=subprocess.DEVNULL)
    wait_for_epoch(killed, 3, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "model.json").exists()
    run = runpy.run_path(str(victim))["run"]
    run(killed)
    run(whole)
    for name in ("model.pt", "model.json", "model_source.py"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert len(load_trained(killed).history) == 30


def config(**settings: Any) -> TrainConfig:
    return TrainConfig.model_validate({"epochs": 4, "batch_size": 64, **settings})


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def killed_after_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training dies in its third epoch."""
    epoch = Fit._train_epoch

    def dying(self: Fit, number: int) -> tuple[float, float]:
        if number == 2:
            raise Killed
        return epoch(self, number)

    monkeypatch.setattr(Fit, "_train_epoch", dying)


@pytest.mark.usefixtures("killed_after_two")
def test_goes_on_instead_of_starting_over(
    make_contract: Contracts,
    make_splits: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = make_splits(make_contract((6,)), 150)
    with pytest.raises(Killed):
        train(config(), data, 1, tmp_path)
    monkeypatch.undo()
    trained = train(config(), data, 1, tmp_path)
    assert "goes on after epoch 2 of 4" in capsys.readouterr().err
    fresh = train(config(), data, 1, tmp_path / "fresh")
    assert trained.history == fresh.history
    np.testing.assert_array_equal(trained.predict(data.test.x), fresh.predict(data.test.x))


@pytest.mark.usefixtures("killed_after_two")
@pytest.mark.parametrize("change", ["config", "seed", "data", "damage"])
def test_a_checkpoint_of_another_training_is_not_used(
    make_contract: Contracts,
    make_splits: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: str,
) -> None:
    data = make_splits(make_contract((6,)), 150)
    with pytest.raises(Killed):
        train(config(), data, 1, tmp_path)
    monkeypatch.undo()
    settings, seed = config(), 1
    if change == "config":
        settings = config(weight_decay=0.1)
    if change == "seed":
        seed = 2
    if change == "data":
        data = make_splits(make_contract((6,)), 150, 3, 1.01)
    if change == "damage":
        path = tmp_path / checkpoint.CHECKPOINT_FILE
        path.write_bytes(path.read_bytes()[:-700])
    trained = train(settings, data, seed, tmp_path)
    assert "starting from the first epoch" in capsys.readouterr().err
    assert len(trained.history) == 4
    fresh = train(settings, data, seed, tmp_path / "fresh")
    np.testing.assert_array_equal(trained.predict(data.test.x), fresh.predict(data.test.x))


def test_a_finished_training_is_not_run_again(
    make_contract: Contracts,
    make_splits: Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed between the last epoch and the stage's seal: only the files are written again."""
    data = make_splits(make_contract((6,)), 150)
    first = train(config(), data, 1, tmp_path)
    weights = (tmp_path / "model.pt").read_bytes()

    def never(self: Fit, number: int) -> tuple[float, float]:
        raise AssertionError("trained again")

    monkeypatch.setattr(Fit, "_train_epoch", never)
    again = train(config(), data, 1, tmp_path)
    assert again.history == first.history
    assert (tmp_path / "model.pt").read_bytes() == weights
