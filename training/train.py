"""The stage `train`: from events to a full-precision model and its figures on the test events."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from triggerforge.config.train import TrainConfig
from triggerforge.data.dataset import Splits
from triggerforge.data.scores import write_logits
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.runfolder import key_of
from triggerforge.training.build import architecture_of, build_module
from triggerforge.training.checkpoint import Progress
from triggerforge.training.device import choose_device, describe_device, deterministic
from triggerforge.training.fit import Fit
from triggerforge.training.metrics import classification_metrics, summary
from triggerforge.training.tensors import network_inputs, require_all_classes
from triggerforge.training.trained import TrainedModel, save_trained


def train(config: TrainConfig, splits: Splits, seed: int, folder: Path) -> TrainedModel:
    """Trains, writes model.pt, model.json and the record to `folder`, and gives back the model.

    A checkpoint in `folder` from a killed call with the same arguments is gone on from; the result
    is the same bit for bit. Raises DataError (empty split, missing class), ModelError (the model
    does not fit, the loss is not finite), ConfigError, RegistryError, MissingToolError.
    """
    for part in ("train", "validation", "test"):
        require_all_classes(getattr(splits, part), {"train": "training"}.get(part, part))
    folder.mkdir(parents=True, exist_ok=True)
    device = choose_device(config)
    architecture = architecture_of(config.model, folder)
    with deterministic(seed, config.threads, device):
        module = build_module(architecture, splits.contract, len(splits.classes), folder)
        fit = Fit.of(config, splits, seed, device, module)
        state = fit.run(folder, _fingerprint(config, splits, seed))
        where = describe_device(device)
    trained = TrainedModel(
        module=fit.module.cpu().eval(),
        contract=splits.contract,
        classes=splits.classes,
        architecture=architecture,
        history=state.history,
    )
    save_trained(trained, folder)
    _write_record(config, trained, splits, state, where, folder)
    return trained


def _write_record(
    config: TrainConfig,
    trained: TrainedModel,
    splits: Splits,
    state: Progress,
    device: str,
    folder: Path,
) -> None:
    logits = trained.predict(network_inputs(splits.test, config.quantized_inputs))
    write_logits(folder, logits)
    metrics = classification_metrics(logits, splits.test.y, splits.test.weight, trained.classes)
    training: dict[str, Any] = {
        "model": config.model.name or config.model.class_name,
        "parameters": sum(p.numel() for p in trained.module.parameters()),
        "events": len(splits.train),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "time_s": round(state.time_s, 3),
        "device": device,
        "history": state.history,
    }
    write_record(folder, metrics={"float": metrics}, training=training)
    say(f"float model on {len(splits.test)} test events: {summary(metrics)}")


def _fingerprint(config: TrainConfig, splits: Splits, seed: int) -> str:
    """What a checkpoint must have in common with a training that goes on from it."""
    sums = [
        zlib.crc32(np.ascontiguousarray(column).data)
        for part in (splits.train, splits.validation)
        for column in (part.x, part.y, part.weight)
    ]
    settings = config.model_dump(mode="json")
    return key_of(settings, seed, splits.contract.to_dict(), splits.classes, sums)
