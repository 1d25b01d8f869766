"""The stage `compress`: from the float model to its quantised, pruned twin of the size asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from triggerforge.compression import pareto, ptq
from triggerforge.compression.backend import keras
from triggerforge.compression.bitmap import ebops, totals
from triggerforge.compression.every_layer import require_quantised
from triggerforge.compression.goal import Goal, Sample
from triggerforge.compression.keras_writer import write_keras
from triggerforge.compression.lowering import checked_graph
from triggerforge.compression.overflow import overflow_audit
from triggerforge.compression.pareto import Candidate, Choice
from triggerforge.compression.qat import Progress, Trainer
from triggerforge.compression.qkeras import QKerasResult, qkeras_parity, train_qkeras
from triggerforge.compression.qkeras_file import read_qkeras
from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel
from triggerforge.compression.ranges import set_start
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.compression.start import Start, compare
from triggerforge.compression.structured import prune_structured
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import write_logits
from triggerforge.errors import ModelError
from triggerforge.fixedpoint import Overflow
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.training.task import Task
from triggerforge.training.tensors import fitting_weights
from triggerforge.training.trained import TrainedModel

_CALIBRATION_EVENTS = 4096  # for a first range; the training goes on from there with all
_UNIFORM_BITS = 8
"""bits of the twin that the record compares with"""


@dataclass(frozen=True)
class _Job:
    """What every method starts from."""

    config: CompressConfig
    module: nn.Module
    """the float model, perhaps with neurons taken out"""
    splits: Splits
    goal: Goal
    float_accuracy: float
    """the goal's measure of the float model on the validation events, 0..1"""
    seed: int
    folder: Path


@dataclass(frozen=True)
class _Chosen:
    """A quantised Keras model, and how it came about."""

    model: keras.Model
    choice: Choice
    training: Progress
    start: Start | None = None
    """against the float model; None where another tool trained"""
    qkeras: QKerasResult | None = None


def compress(
    config: CompressConfig, trained: TrainedModel, splits: Splits, seed: int, folder: Path
) -> QuantizedModel:
    """Quantises `trained`, writes model.tfq and the record to `folder`, gives the model back.

    The target (`config.target`) is judged on the validation events, metrics are on the test events. An
    anomaly score is learned from the background's events and judged by them alone (see goal.py).
    What a killed call left in `folder` is gone on with.

    A missed target is recorded as `compression.target_missed`; the run fails on it at its end.
    Raises ModelError where model and events do not fit, and what the method itself raises.
    """
    _require_fit(trained, splits)
    train, validation = (_sample(trained, part) for part in (splits.train, splits.validation))
    goal = Goal.of(trained.task, config.distill, train, validation)
    accuracy = goal.measure(validation.teacher)
    module = _pruned(config, trained)
    job = _Job(config, module, splits, goal, accuracy, seed, folder)
    keras.backend.clear_session()  # names of layers count from one, whatever was made before
    keras.utils.set_random_seed(seed)
    chosen = _METHODS[config.method](job)
    require_quantised(chosen.model)
    _require_alive(job, chosen)
    quantized = QuantizedModel.from_keras(chosen.model, trained.contract, trained.task.outputs)
    quantized.save(folder / MODEL_FILE)
    section = _record(job, chosen, quantized) | _uniform(trained, job, quantized)
    outputs = quantized.predict(splits.test.quantized_x)
    write_record(
        folder,
        metrics={"quantized": _test_metrics(trained.task, outputs, splits.test, folder)},
        compression=section,
        overflow_audit=overflow_audit(quantized, splits.test.quantized_x),
        parity=[] if chosen.qkeras is None else qkeras_parity(chosen.qkeras, outputs, quantized),
    )
    say(
        f"compress: {goal.measured} {100 * chosen.choice.candidate.accuracy:.2f} % on the validation "
        f"events (float: {100 * accuracy:.2f} %), {quantized.ebops:.0f} EBOPs, "
        f"{section['ratio']:.1f} times fewer than {_UNIFORM_BITS} bits everywhere"
    )
    return quantized


def _require_fit(trained: TrainedModel, splits: Splits) -> None:
    if trained.contract != splits.contract or trained.task != Task.of(splits):
        raise ModelError(
            f"the model was trained on inputs {list(trained.contract.names)}, classes "
            f"{list(trained.classes)} and background {list(trained.background)}, the events have "
            f"{list(splits.contract.names)}, {list(splits.classes)} and {list(splits.background)}, or "
            "other formats; train again on these events"
        )
    for name, part in (("training", splits.train), ("validation", splits.validation)):
        if not len(trained.task.learned_from(part)):
            raise ModelError(f"no {name} events, but compression needs some; check `data`")


def _sample(trained: TrainedModel, part: Dataset) -> Sample:
    """Quantised inputs, and what the float model makes of the unrounded ones."""
    events = trained.task.learned_from(part)
    weight = fitting_weights(events)
    return Sample(events.quantized_x, events.y, weight, trained.predict(events.x))


def _pruned(config: CompressConfig, trained: TrainedModel) -> nn.Module:
    pruning = config.pruning
    if pruning.method != "structured":
        return trained.module
    return prune_structured(trained.module, trained.contract, pruning.fraction, pruning.max_weights)


def _trained(job: _Job) -> _Chosen:
    """By quantisation-aware training: a member of the Pareto front."""
    bits, contract = job.config.bits, job.splits.contract
    overflow = _overflow(job)
    scheme = QuantizationScheme(
        weight_bits=bits.weight,
        bias_bits=bits.weight,
        activation_fraction=bits.fraction,
        activation_overflow=overflow,
    )
    graph, twin = checked_graph(job.module, contract)
    model = write_keras(graph, contract, scheme)
    set_start(model, twin, job.goal.train.x[:_CALIBRATION_EVENTS])
    trainer = Trainer(model, job.config, job.goal, job.seed, job.folder)
    with trainer.calibrated():
        start = _started(job, model, twin, "begin with more of compress.bits")
    training = trainer.fit()
    choice = pareto.choose(training.front, job.config.target, job.float_accuracy)
    trainer.restore(choice.candidate)
    return _Chosen(model, choice, training, start)


def _started(job: _Job, model: keras.Model, twin: keras.Model, advice: str) -> Start:
    """How far the quantised network is off the float one; said, and an error past the limit."""
    start = compare(model, twin, job.goal.validation.x)
    start.require(job.config.max_start_error, advice)
    say(
        f"compress: quantised, not yet trained: off the float model by {100 * start.error:.2g} % of "
        f"the outputs' spread; {job.goal.measured} {100 * _measured(job, model):.2f} % on the "
        f"validation events (float: {100 * job.float_accuracy:.2f} %)"
    )
    return start


def _overflow(job: _Job) -> Overflow:
    """An event past what training has seen must stay anomalous: a score saturates by itself."""
    if job.config.overflow == "auto":
        return Overflow.SAT if job.goal.measured == "overlap" else Overflow.WRAP
    return Overflow[job.config.overflow]


def _rounded(job: _Job) -> _Chosen:
    """By rounding the trained weights."""
    uniform = job.config.bits.uniform
    model, twin = ptq.uniform_pair(job.module, job.splits.contract, job.goal.train.x, bits=uniform)
    start = _started(job, model, twin, "round to more bits (compress.bits.uniform)")
    return _only(job, model, start=start)


def _in_qkeras(job: _Job) -> _Chosen:
    """By QKeras in its own environment; its file then comes back with the same bits."""
    folder = job.folder / "qkeras"
    result = train_qkeras(job.module, job.splits, job.config, job.seed, folder)
    return _only(job, read_qkeras(result.model_file, job.splits.contract), result=result)


def _require_alive(job: _Job, chosen: _Chosen) -> None:
    """Raises ModelError where the chosen network gives the same outputs for all validation events."""
    x = job.goal.validation.x
    outputs = np.asarray(chosen.model.predict(x, batch_size=job.config.batch_size, verbose=0))
    if (
        len(x) > 1
        and (outputs == outputs[0]).all()
        and np.ptp(job.goal.validation.teacher, axis=0).any()
    ):
        raise ModelError(
            f"the quantised network that was chosen ({chosen.choice.candidate.ebops:.0f} EBOPs, epoch "
            f"{chosen.choice.candidate.epoch}) gives the same outputs for all {len(x)} validation events: "
            "it is dead; ask for less in compress.target, or lower compress.beta_end"
        )


def _only(
    job: _Job, model: keras.Model, start: Start | None = None, result: QKerasResult | None = None
) -> _Chosen:
    """A front of one."""
    accuracy = _measured(job, model)
    candidate = Candidate(accuracy, ebops(model), epoch=0)
    choice = pareto.choose([candidate], job.config.target, job.float_accuracy)
    return _Chosen(model, choice, Progress(front=(candidate,)), start, result)


_METHODS = {"hgq": _trained, "ptq": _rounded, "qkeras": _in_qkeras}


def _measured(job: _Job, model: keras.Model) -> float:
    x, size = job.goal.validation.x, job.config.batch_size
    return job.goal.measure(np.asarray(model.predict(x, batch_size=size, verbose=0)))


def _test_metrics(
    task: Task, outputs: NDArray[np.float64], test: Dataset, folder: Path
) -> dict[str, Any]:
    write_logits(folder, outputs)
    return task.metrics(outputs, test.y, test.weight)


def _uniform(trained: TrainedModel, job: _Job, quantized: QuantizedModel) -> dict[str, Any]:
    """What the network would be with as many bits everywhere: the measure of what was gained."""
    x = job.goal.train.x
    model, twin = ptq.uniform_pair(trained.module, trained.contract, x, bits=_UNIFORM_BITS)
    size = ebops(model)
    return {
        "ebops_uniform8": size,
        "uniform8_accuracy": _measured(job, model),
        "uniform8_error": compare(model, twin, job.goal.validation.x).error,
        "ratio": size / max(quantized.ebops, 1.0),
    }


def _record(job: _Job, chosen: _Chosen, quantized: QuantizedModel) -> dict[str, Any]:
    """The section `compression` of result.json.

    Accuracies in it are on the validation events; `measure` says whether they are, of a score, overlaps.
    """
    return {
        "method": job.config.method,
        "measure": job.goal.measured,
        "ebops": quantized.ebops,
        **totals(quantized.layers),
        "pareto": [c.to_dict() for c in chosen.training.front],
        "chosen": chosen.choice.candidate.to_dict(),
        "validation_accuracy_float": job.float_accuracy,
        "target": job.config.target.model_dump(),
        "target_missed": chosen.choice.missed or None,
        "start": None if chosen.start is None else chosen.start.to_dict(),
        "epochs": chosen.training.epochs,
        "seconds": chosen.training.seconds,
        "history": list(chosen.training.history),
        "trace_check": quantized.trace_check,
        "layers": quantized.layers,
    }
