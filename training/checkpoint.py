"""The state of a training between two epochs: enough to go on with the same bits."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from triggerforge.errors import ArtifactError
from triggerforge.progress import say
from triggerforge.runfolder import write_atomic
from triggerforge.training.trained import from_file, to_bytes

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass
class Progress:
    """What the fit loop carries from epoch to epoch, apart from module and optimiser."""

    epoch: int = 0
    """epochs done"""
    best_epoch: int = 0
    """1-based; 0 before the first"""
    best_loss: float = float("inf")
    best_state: dict[str, Tensor] = field(default_factory=dict)
    """the module's state after the best epoch"""
    history: list[dict[str, Any]] = field(default_factory=list)
    time_s: float = 0.0
    """time spent in training so far"""
    stopped: bool = False
    """early stopping has ended the training"""


def save_checkpoint(
    folder: Path,
    fingerprint: str,
    progress: Progress,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> None:
    """Writes everything to CHECKPOINT_FILE, whole or not at all."""
    state = {
        "fingerprint": fingerprint,
        "progress": asdict(progress),
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "device_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }
    write_atomic(folder / CHECKPOINT_FILE, to_bytes(state))


def load_checkpoint(
    folder: Path,
    fingerprint: str,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> Progress:
    """Puts module, optimiser and random numbers where the checkpoint left them.

    A checkpoint of another training (by `fingerprint`) or a damaged one is put aside with a word,
    and the training starts anew.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return Progress()
    try:
        state = from_file(path)
    except ArtifactError as error:
        say(f"{error}: starting from the first epoch")
        return Progress()
    if state.get("fingerprint") != fingerprint:
        say(f"{path} belongs to another training: starting from the first epoch")
        return Progress()
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    if state["device_rng"] is not None:
        torch.cuda.set_rng_state(state["device_rng"], device)
    return Progress(**state["progress"])
