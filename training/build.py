"""From the configuration of a model to a torch module that is known to fit inputs and classes."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from triggerforge.config.train import ModelConfig, TrainConfig
from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, TriggerForgeError, did_you_mean
from triggerforge.runfolder import write_atomic
from triggerforge.training.models.blocks import describe
from triggerforge.training.models.registry import MODELS
from triggerforge.training.user_model import fill_in, load_user_class, source_digest

SOURCE_FILE = "model_source.py"

Architecture = dict[str, Any]
"""What builds the module again: {name, kwargs}, or {class, file, sha256, kwargs} with SOURCE_FILE."""


def architecture_of(config: ModelConfig, folder: Path) -> Architecture:
    """The architecture's record for model.json; a user's source file is copied to `folder`.

    Raises ModelError if that file cannot be read.
    """
    if config.file is None:
        return {"name": config.name, "kwargs": dict(config.kwargs)}
    source_digest(config.file)
    write_atomic(folder / SOURCE_FILE, config.file.read_bytes())
    digest = source_digest(folder / SOURCE_FILE)
    return {
        "class": config.class_name,
        "file": str(config.file),
        "sha256": digest,
        "kwargs": dict(config.kwargs),
    }


def require_arguments(config: TrainConfig, scores: bool) -> None:
    """Raises ModelError if one of triggerforge's own networks is given what it does not take.

    That is arguments, or a task: `scores` says whether one score is learned from background. It needs
    no events; a user's class is looked at when it is built.
    """
    _require_own(config.model, scores, taught=config.teacher is not None)
    if config.teacher is not None:
        _require_own(config.teacher.model, scores, taught=False)


def _require_own(model: ModelConfig, scores: bool, taught: bool) -> None:
    if model.name is None:
        return
    builder = MODELS[model.name]
    given = fill_in(builder, model.kwargs, None, None)
    _check_arguments(model.name, builder, model.kwargs, given)
    require_objective(builder, model.name, scores, taught)


def require_objective(network: Any, name: str, scores: bool, taught: bool) -> None:
    """Raises ModelError unless a network, or its class, can learn what it is meant to.

    A score that no teacher gives is learned by networks with a method `losses`.
    """
    own = hasattr(network, "losses")
    able = ", ".join(n for n, entry in MODELS.items() if hasattr(entry, "losses"))
    if scores and not taught and not own:
        raise ModelError(
            f"model {name!r} has no losses(x) of its own, and a score learned from data.background "
            f"has no labels; choose one of {able}, give it a train.teacher, or leave background out"
        )
    if own and not scores:
        raise ModelError(
            f"model {name!r} gives an anomaly score, learned from ordinary events: name their classes "
            "in data.background, or choose a network that tells classes apart"
        )
    if own and taught:
        raise ModelError(
            f"model {name!r} has losses(x) of its own, and train.teacher would replace them; leave the "
            "teacher out, or choose a network that learns from one, such as region_student"
        )


def untrained_module(config: ModelConfig, contract: InputContract, n_classes: int) -> nn.Module:
    """The module of `config` with random weights, from the user's own file where it names one.

    Nothing is written. Raises what `build_module` raises.
    """
    with TemporaryDirectory() as folder:
        architecture = architecture_of(config, Path(folder))
        return build_module(architecture, contract, n_classes, Path(folder))


def build_module(
    architecture: Mapping[str, Any], contract: InputContract, n_classes: int, folder: Path
) -> nn.Module:
    """A fresh module in eval mode with random weights: (N, *contract.shape) to (N, n_classes).

    `folder` holds SOURCE_FILE for a user's class. Raises RegistryError for an unknown name,
    ModelError for unknown or unfit arguments and where shapes do not fit.
    """
    kwargs = architecture["kwargs"]
    if "name" in architecture:
        builder: Callable[..., nn.Module] = MODELS[architecture["name"]]
        name = architecture["name"]
    else:
        name = architecture["class"]
        builder = load_user_class(folder / SOURCE_FILE, name, _origin(architecture))
    arguments = fill_in(builder, kwargs, contract, n_classes)
    _check_arguments(name, builder, kwargs, arguments)
    module = _construct(name, builder, arguments)
    check_fit(module, name, contract, n_classes)
    return module


def _origin(architecture: Mapping[str, Any]) -> Path | None:
    """The user's own file; None in records of before it was kept there."""
    return Path(architecture["file"]) if architecture.get("file") else None


def check_fit(module: nn.Module, name: str, contract: InputContract, n_classes: int) -> None:
    """Raises ModelError if two events of the contract's shape do not give (2, n_classes) logits."""
    given = (2, *contract.shape)
    where = f"model {name!r} with an input of shape {given} (two events of {describe(contract)})"
    module.eval()
    try:
        with torch.no_grad():
            logits = module(torch.zeros(given))
    except Exception as error:
        raise ModelError(
            f"{where} fails: {error}; make the model fit the input contract, or change the inputs "
            "in `data`"
        ) from error
    if not isinstance(logits, torch.Tensor):
        raise ModelError(f"{where} gives {type(logits).__name__}; it must give one tensor")
    if logits.shape != (2, n_classes):
        raise ModelError(
            f"{where} gives an output of shape {tuple(logits.shape)}, but there are {n_classes} "
            f"classes or scores: it must give one number for each, of shape (2, {n_classes})"
        )


def _check_arguments(
    name: str, builder: Callable[..., nn.Module], kwargs: Mapping[str, Any], full: dict[str, Any]
) -> None:
    parameters = inspect.signature(builder).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    own = [p for p in parameters if p not in ("contract", "n_classes")]
    for key in kwargs:
        if key not in own:
            raise ModelError(f"model {name!r} takes no argument {key!r}; {did_you_mean(key, own)}")
    try:
        inspect.signature(builder).bind(**full)
    except TypeError as error:
        raise ModelError(f"model {name!r}: {error}; give it in `train.model.kwargs`") from error


def _construct(
    name: str, builder: Callable[..., nn.Module], arguments: dict[str, Any]
) -> nn.Module:
    try:
        return builder(**arguments)
    except TriggerForgeError:
        raise
    except Exception as error:
        shown = {k: v for k, v in arguments.items() if k not in ("contract", "n_classes")}
        raise ModelError(
            f"model {name!r} cannot be built with {shown}: {type(error).__name__}: {error}; change "
            "`train.model.kwargs`"
        ) from error
