"""A trained full-precision model, and its two files: model.pt (weights) and model.json (the rest)."""

import io
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ArtifactError, ModelError, TriggerForgeError
from triggerforge.runfolder import read_json, write_atomic, write_json
from triggerforge.training.build import SOURCE_FILE, Architecture, build_module
from triggerforge.training.task import Task
from triggerforge.training.user_model import source_digest

WEIGHTS_FILE = "model.pt"
MODEL_FILE = "model.json"
_VERSION = 2
_BATCH = 8192


@dataclass(frozen=True)
class TrainedModel:
    """A torch module in eval mode, with what its inputs and outputs mean."""

    module: nn.Module
    contract: InputContract
    classes: tuple[str, ...]
    architecture: Architecture
    """{name, kwargs} of one of triggerforge's own, or {class, file, sha256, kwargs} of a user's"""
    history: list[dict[str, Any]]
    """one entry an epoch: losses, validation accuracy, learning rate"""
    background: tuple[str, ...] = ()
    """classes that an anomaly score was learned from; empty where the classes are told apart"""

    @property
    def task(self) -> Task:
        """What the outputs are."""
        return Task(tuple(self.classes), self.background)

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised inputs x (N, *contract.shape) to outputs (N, len(task.outputs)), float32.

        Raises ModelError if x is not of the contract's shape.
        """
        if x.shape[1:] != self.contract.shape:
            raise ModelError(
                f"inputs of shape {x.shape[1:]}; the model was trained on {self.contract.shape}"
            )
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        logits = np.empty((len(x), len(self.task.outputs)), np.float32)
        with torch.no_grad():
            for start in range(0, len(x), _BATCH):
                batch = np.ascontiguousarray(x[start : start + _BATCH], np.float32)
                output = self.module(torch.from_numpy(batch).to(device))
                logits[start : start + _BATCH] = output.float().cpu().numpy()
        return logits


def save_trained(trained: TrainedModel, folder: Path) -> None:
    """Writes the model's files to `folder`, which holds SOURCE_FILE already for a user's class."""
    weights = {k: v.detach().cpu() for k, v in trained.module.state_dict().items()}
    write_atomic(folder / WEIGHTS_FILE, to_bytes(weights))
    write_json(
        folder / MODEL_FILE,
        {
            "version": _VERSION,
            "architecture": trained.architecture,
            "contract": trained.contract.to_dict(),
            "classes": list(trained.classes),
            "background": list(trained.background),
            "history": trained.history,
        },
    )


def load_trained(folder: Path) -> TrainedModel:
    """Reads what `save_trained` wrote; a user's class is built from the copy of its source there.

    Raises ArtifactError if a file is missing, damaged, changed or of an unknown version, ModelError
    if the weights do not fit the architecture.
    """
    record = read_json(folder / MODEL_FILE)
    if record.get("version") != _VERSION:
        raise ArtifactError(
            f"{folder / MODEL_FILE} has version {record.get('version')!r}, this triggerforge reads "
            f"{_VERSION}; train again"
        )
    contract, architecture, task, history = _parts(record, folder / MODEL_FILE)
    source = folder / SOURCE_FILE
    if "class" in architecture and source_digest(source) != architecture.get("sha256"):
        raise ArtifactError(f"{source} is not the file that was trained; train again")
    module = build_module(architecture, contract, len(task.outputs), folder)
    state = from_file(folder / WEIGHTS_FILE)
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} does not fit the model in {MODEL_FILE}: {error}; train again"
        ) from error
    return TrainedModel(
        module.eval(), contract, task.classes, architecture, history, task.background
    )


def to_bytes(state: Any) -> bytes:
    """Tensors and plain values as torch writes them."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def from_file(path: Path) -> dict[str, Any]:
    """Tensors and plain values from a file, on the CPU; no code in it is run.

    Raises ArtifactError if there is no such file or it is damaged.
    """
    try:
        with warnings.catch_warnings():
            # a plain pickle of another origin: refused below, a warning adds nothing
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}; train again") from error
    if not isinstance(state, dict) or isinstance(state, Tensor):
        raise ArtifactError(f"{path} holds {type(state).__name__}, not a state; train again")
    return state


def _parts(
    record: dict[str, Any], path: Path
) -> tuple[InputContract, Architecture, Task, list[dict[str, Any]]]:
    try:
        contract = InputContract.from_dict(record["contract"])
        architecture = dict(record["architecture"])
        named = {"name", "kwargs"} <= set(architecture)
        if not named and not {"class", "kwargs"} <= set(architecture):
            raise KeyError("architecture.name")
        task = Task(tuple(record["classes"]), tuple(record["background"]))
        return contract, architecture, task, list(record["history"])
    except (KeyError, TypeError, ValueError, TriggerForgeError) as error:
        raise ArtifactError(f"{path} lacks or spoils {error}; train again") from error
