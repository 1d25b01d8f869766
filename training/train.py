"""The stage `train`: from events to a full-precision model and its figures on the test events."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.train import TrainConfig
from triggerforge.data.dataset import Splits
from triggerforge.data.scores import write_logits
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.runfolder import key_of
from triggerforge.training.build import (
    architecture_of,
    build_module,
    require_arguments,
    require_objective,
)
from triggerforge.training.checkpoint import Progress
from triggerforge.training.cost import multiplications
from triggerforge.training.device import choose_device, describe_device, deterministic
from triggerforge.training.fit import Fit
from triggerforge.training.objectives import (
    Classification,
    Imitation,
    LogScore,
    Objective,
    Unsupervised,
)
from triggerforge.training.rebuilt import require_rebuilt
from triggerforge.training.task import Task, summary
from triggerforge.training.tensors import (
    class_weights,
    fitting_weights,
    network_inputs,
    require_all_classes,
    to_tensors,
)
from triggerforge.training.trained import TrainedModel, save_trained

TEACHER_FOLDER = "teacher"
Targets = tuple[NDArray[np.float32], NDArray[np.float32]]
"""what is to be learned for the training and the validation events"""


def train(config: TrainConfig, splits: Splits, seed: int, folder: Path) -> TrainedModel:
    """Trains, writes model.pt, model.json and the record to `folder`, and gives back the model.

    Where `splits.background` names classes, only their events are learned from and judged by on the
    way; a teacher is trained first, in a folder of its own. A checkpoint in `folder` from a killed call
    with the same arguments is gone on from; the result is the same bit for bit. Raises DataError
    (empty split, missing class), ModelError (the model does not fit, the loss is not finite),
    ConfigError, RegistryError, MissingToolError.
    """
    require_arguments(config, Task.of(splits).scores)
    require_all_classes(splits.train, "training", splits.background)
    require_all_classes(splits.validation, "validation", splits.background)
    require_all_classes(splits.test, "test")
    seen = _learned_from(splits)
    if config.teacher is None:
        done = _fit(config, seen, seed, folder)
        return _finish(config, done, splits, folder, {})
    own = {"model": config.teacher.model, "epochs": config.teacher.epochs, "teacher": None}
    own["event_weights"] = config.teacher.event_weights
    teaching = config.model_copy(update=own)
    teacher = _fit(teaching, seen, seed, folder / TEACHER_FOLDER).trained
    targets = _targets(teaching, teacher, seen)
    done = _fit(config, seen, seed, folder, targets)
    return _finish(config, done, splits, folder, _told_of(teaching, teacher, splits))


@dataclass(frozen=True)
class _Done:
    trained: TrainedModel
    state: Progress
    device: str


def _learned_from(splits: Splits) -> Splits:
    """The splits without what training must not see: signals, where a score is learned."""
    task = Task.of(splits)
    if not task.scores:
        return splits
    train, validation = (task.learned_from(part) for part in (splits.train, splits.validation))
    return Splits(train, validation, splits.test, splits.background)


def _fit(
    config: TrainConfig, splits: Splits, seed: int, folder: Path, targets: Targets | None = None
) -> _Done:
    """One training in `folder`; with `targets` those are learned, whatever the network's own loss."""
    folder.mkdir(parents=True, exist_ok=True)
    task, device = Task.of(splits), choose_device(config)
    architecture = architecture_of(config.model, folder)
    parts = (splits.train, splits.validation)
    ones = np.ones(len(splits.classes))
    weights = ones if task.scores else class_weights(splits.train, config)
    with deterministic(seed, config.threads, device):
        outputs = len(task.outputs)
        module = build_module(architecture, splits.contract, outputs, folder)
        name = str(config.model.name or config.model.class_name)
        require_objective(module, name, task.scores, targets is not None)
        require_rebuilt(
            module,
            lambda: build_module(architecture, splits.contract, outputs, folder),
            splits.contract,
            name,
        )
        events = (
            to_tensors(part, config, weights, device, target)
            for part, target in zip(parts, targets or (None, None), strict=True)
        )
        objective = _objective(config, task, targets is not None)
        fit = Fit.of(config, seed, device, module, objective, (next(events), next(events)))
        state = fit.run(folder, _fingerprint(config, splits, seed, targets))
        where = describe_device(device)
    trained = TrainedModel(
        module=fit.module.cpu().eval(),
        contract=splits.contract,
        classes=splits.classes,
        architecture=architecture,
        history=state.history,
        background=splits.background,
    )
    save_trained(trained, folder)
    return _Done(trained, state, where)


def _objective(config: TrainConfig, task: Task, taught: bool) -> Objective:
    if taught:
        return Imitation()
    return Unsupervised() if task.scores else Classification(config.label_smoothing)


def _targets(config: TrainConfig, teacher: TrainedModel, splits: Splits) -> Targets:
    """The teacher's score of both parts, as the student is to give it."""
    parts = (splits.train, splits.validation)
    scores = [teacher.predict(network_inputs(p, config.quantized_inputs))[:, 0] for p in parts]
    form = LogScore.of(scores[0], fitting_weights(splits.train))
    return form(scores[0]), form(scores[1])


def _told_of(config: TrainConfig, teacher: TrainedModel, splits: Splits) -> dict[str, Any]:
    """What the record says of a teacher."""
    scores = teacher.predict(network_inputs(splits.test, config.quantized_inputs))
    metrics = teacher.task.metrics(scores, splits.test.y, splits.test.weight)
    say(f"teacher on {len(splits.test)} test events: {summary(metrics)}")
    told = _size(config, teacher) | {"epochs": len(teacher.history), "metrics": metrics}
    return {"teacher": told | {"history": teacher.history}}


def _finish(
    config: TrainConfig, done: _Done, splits: Splits, folder: Path, more: dict[str, Any]
) -> TrainedModel:
    """Writes the record and the outputs on the test events."""
    trained, state = done.trained, done.state
    outputs = trained.predict(network_inputs(splits.test, config.quantized_inputs))
    write_logits(folder, outputs)
    metrics = trained.task.metrics(outputs, splits.test.y, splits.test.weight)
    training: dict[str, Any] = _size(config, trained) | {
        "events": len(_learned_from(splits).train),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        "time_s": round(state.time_s, 3),
        "device": done.device,
        "history": state.history,
    }
    write_record(folder, metrics={"float": metrics}, training=training | more)
    say(f"float model on {len(splits.test)} test events: {summary(metrics)}")
    return trained


def _size(config: TrainConfig, trained: TrainedModel) -> dict[str, Any]:
    return {
        "model": config.model.name or config.model.class_name,
        "parameters": sum(p.numel() for p in trained.module.parameters()),
        "multiplications": multiplications(trained.module, trained.contract),
    }


def _fingerprint(config: TrainConfig, splits: Splits, seed: int, targets: Targets | None) -> str:
    """What a checkpoint must have in common with a training that goes on from it."""
    columns = [
        c for part in (splits.train, splits.validation) for c in (part.x, part.y, part.weight)
    ]
    sums = [zlib.crc32(np.ascontiguousarray(c).data) for c in (*columns, *(targets or ()))]
    settings = config.model_dump(mode="json")
    return key_of(settings, seed, splits.contract.to_dict(), splits.classes, sums)
