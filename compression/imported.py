"""The stage `compress` where the user brings a quantised model in a file: nothing is trained."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from triggerforge.compression.bitmap import totals
from triggerforge.compression.goal import Accuracy
from triggerforge.compression.model_file import from_file, implied_contract, uncounted_layers
from triggerforge.compression.overflow import overflow_audit
from triggerforge.compression.pareto import Candidate
from triggerforge.compression.quantized_model import MODEL_FILE, QuantizedModel
from triggerforge.config.compress import CompressConfig
from triggerforge.data.contract import RangeCount
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import write_logits
from triggerforge.errors import ModelError
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.training.task import Task, summary

METHOD = "file"
"""what the record has as `compression.method`"""


def import_model(config: CompressConfig, splits: Splits, folder: Path) -> QuantizedModel:
    """The model in the file `config.model`, for the inputs and classes of `splits`.

    Writes model.tfq, the scores on the test events and the record, with the sections and keys of
    `compress` that need no float model. A model over `target.max_ebops` is recorded as
    `compression.target_missed`.

    Raises ArtifactError where the file cannot be read, ModelError where it does not fit inputs or
    classes, has no fixed-point form or does not count the cost that a budget is for, ParityError where
    the traced graph and Keras differ.
    """
    assert config.model is not None
    quantized = _fitting(config.model, splits)
    _require_counted(config, quantized)
    quantized.save(folder / MODEL_FILE)
    outputs = quantized.predict(splits.test.quantized_x)
    metrics = Task.of(splits).metrics(outputs, splits.test.y, splits.test.weight)
    write_logits(folder, outputs)
    outside = _outside(quantized, splits.test)
    _warn(config.model, outside)
    section = _record(config, quantized, splits, outside)
    audit = overflow_audit(quantized, splits.test.quantized_x)
    write_record(folder, metrics={"quantized": metrics}, compression=section, overflow_audit=audit)
    say(f"{config.model}: {quantized.ebops:.0f} EBOPs; on the test events: {summary(metrics)}")
    return quantized


def _fitting(path: Path, splits: Splits) -> QuantizedModel:
    """The model with the contract and the classes of the events."""
    outputs = Task.of(splits).outputs
    quantized = from_file(path, splits.contract, None if path.suffix == ".tfq" else outputs)
    if quantized.classes != outputs:
        raise ModelError(
            f"{path} was made for the outputs {list(quantized.classes)}, the events have "
            f"{list(outputs)}; set data.classes, or data.background for an anomaly score"
        )
    return quantized


def _require_counted(config: CompressConfig, quantized: QuantizedModel) -> None:
    """A budget is judged on a cost that is known: raises ModelError where layers do not count theirs."""
    if config.target.max_ebops is None:
        return
    if names := uncounted_layers(quantized.keras_model()):
        raise ModelError(
            f"{config.model}: EBOPs are switched off in {', '.join(names)}, so compress.target.max_ebops "
            f"{config.target.max_ebops:g} cannot be judged; leave it out, or save the model with "
            "enable_ebops=True"
        )


def _outside(quantized: QuantizedModel, test: Dataset) -> list[RangeCount]:
    """The inputs, as the port carries them, that leave the range of the model's own quantiser.

    Empty where every value fits, or where the model has no quantiser right behind its inputs.
    """
    try:
        own = implied_contract(quantized.keras_model())
    except ModelError:
        return []
    counts = own.audit(test.quantized_x)
    named = (replace(c, name=n) for c, n in zip(counts, quantized.contract.names, strict=True))
    return [count for count in named if count.saturated]


def _warn(path: Path, outside: list[RangeCount]) -> None:
    if outside:
        worst = max(outside, key=lambda count: count.saturated)
        say(
            f"warning: {len(outside)} inputs leave the range in which {path} quantises them, the worst "
            f"({worst.name}) in {worst.saturated} of {worst.events} test events: {worst.low:g} to "
            f"{worst.high:g} in the place of {worst.allowed[0]:g} to {worst.allowed[1]:g}; scale "
            "the inputs in `data` as they were in its training (docs/compression.md)"
        )


def _record(
    config: CompressConfig,
    quantized: QuantizedModel,
    splits: Splits,
    outside: list[RangeCount],
) -> dict[str, Any]:
    assert config.model is not None
    accuracy = _accuracy(quantized, splits)
    return {
        "method": METHOD,
        "file": str(config.model),
        "sha256": hashlib.sha256(config.model.read_bytes()).hexdigest(),
        "ebops": quantized.ebops,
        **totals(quantized.layers),
        **({} if accuracy is None else _front(Candidate(accuracy, quantized.ebops, epoch=0))),
        "target": config.target.model_dump(),
        "target_missed": _missed(config, quantized.ebops),
        "input_outside": {count.name: count.saturated for count in outside},
        "trace_check": quantized.trace_check,
        "layers": quantized.layers,
    }


def _accuracy(quantized: QuantizedModel, splits: Splits) -> float | None:
    """On the validation events; a score is measured against a float model, and there is none."""
    if Task.of(splits).scores:
        return None
    events = splits.validation
    return Accuracy(events.y, events.weight)(quantized.predict(events.quantized_x))


def _front(only: Candidate) -> dict[str, Any]:
    return {"measure": "accuracy", "pareto": [only.to_dict()], "chosen": only.to_dict()}


def _missed(config: CompressConfig, ebops: float) -> str | None:
    limit = config.target.max_ebops
    if limit is None or ebops <= limit:
        return None
    return f"{config.model} has {ebops:.0f} EBOPs, compress.target.max_ebops is {limit:g}"
