"""The stage `compress`: from the float model to its quantised, pruned twin of the size asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from triggerforge.compression import pareto, ptq
from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.bitmap import ebops
from triggerforge.compression.lowering import lower
from triggerforge.compression.pareto import Candidate, Choice
from triggerforge.compression.qat import Progress, Sample, Trainer
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.compression.structured import prune_structured
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import write_logits
from triggerforge.errors import ModelError
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.training.metrics import classification_metrics
from triggerforge.training.trained import TrainedModel

MODEL_FILE = "model.tfq"
_UNIFORM_BITS = 8
"""bits of the twin that the record compares with"""


@dataclass(frozen=True)
class _Chosen:
    """A quantised Keras model, and how it came about."""

    model: keras.Model
    choice: Choice
    training: Progress


def compress(
    config: CompressConfig, trained: TrainedModel, splits: Splits, seed: int, folder: Path
) -> QuantizedModel:
    """Quantises `trained`, writes model.tfq and the record to `folder`, gives the model back.

    The target (`config.target`) is judged on the validation events, metrics are on the test events.
    What a killed call left in `folder` is gone on with.

    Raises BudgetError where no candidate meets the target: after the nearest one is written.
    """
    _require_fit(trained, splits)
    train, validation = (_sample(trained, part) for part in (splits.train, splits.validation))
    float_accuracy = validation.accuracy(validation.teacher)
    keras.utils.set_random_seed(seed)
    find = _trained if config.method == "hgq" else _rounded
    chosen = find(config, _pruned(config, trained), trained, train, validation, seed, folder)
    quantized = QuantizedModel.from_keras(chosen.model, trained.contract, trained.classes)
    quantized.save(folder / MODEL_FILE)
    twin = ptq.uniform(trained.module, trained.contract, train.x, bits=_UNIFORM_BITS)
    metrics = _test_metrics(quantized, splits.test, folder)
    section = _record(config, chosen, quantized, ebops(twin), float_accuracy)
    write_record(folder, metrics={"quantized": metrics}, compression=section)
    say(
        f"compress: {100 * chosen.choice.candidate.accuracy:.2f} % of the validation events "
        f"(float: {100 * float_accuracy:.2f} %), {quantized.ebops:.0f} EBOPs, "
        f"{section['ratio']:.1f} times fewer than {_UNIFORM_BITS} bits everywhere"
    )
    chosen.choice.require_met()
    return quantized


def _require_fit(trained: TrainedModel, splits: Splits) -> None:
    if trained.contract != splits.contract or tuple(trained.classes) != tuple(splits.classes):
        raise ModelError(
            f"the model was trained on inputs {list(trained.contract.names)} and classes "
            f"{list(trained.classes)}, the events have {list(splits.contract.names)} and "
            f"{list(splits.classes)}, or other formats; train again on these events"
        )
    for name, part in (("training", splits.train), ("validation", splits.validation)):
        if not len(part):
            raise ModelError(f"no {name} events, but compression needs some; check `data`")


def _sample(trained: TrainedModel, events: Dataset) -> Sample:
    """Quantised inputs, and what the float model makes of the unrounded ones."""
    return Sample(events.quantized_x, events.y, events.weight, trained.predict(events.x))


def _pruned(config: CompressConfig, trained: TrainedModel) -> nn.Module:
    pruning = config.pruning
    if pruning.method != "structured":
        return trained.module
    return prune_structured(trained.module, trained.contract, pruning.fraction, pruning.max_weights)


def _trained(
    config: CompressConfig,
    module: nn.Module,
    trained: TrainedModel,
    train: Sample,
    validation: Sample,
    seed: int,
    folder: Path,
) -> _Chosen:
    """By quantisation-aware training: a member of the Pareto front."""
    scheme = QuantizationScheme(
        weight_bits=config.bits.weight,
        bias_bits=config.bits.weight,
        activation_fraction=config.bits.fraction,
        beta=config.beta_start,
    )
    model = lower(module, trained.contract, scheme)
    trainer = Trainer(model, config, train, validation, seed, folder)
    training = trainer.fit()
    accuracy = validation.accuracy(validation.teacher)
    choice = pareto.choose(training.front, config.target, accuracy)
    trainer.restore(choice.candidate)
    return _Chosen(model, choice, training)


def _rounded(
    config: CompressConfig,
    module: nn.Module,
    trained: TrainedModel,
    train: Sample,
    validation: Sample,
    seed: int,
    folder: Path,
) -> _Chosen:
    """By rounding the trained weights: a front of one."""
    model = ptq.uniform(module, trained.contract, train.x, bits=config.bits.uniform)
    logits = model.predict(validation.x, batch_size=config.batch_size, verbose=0)
    candidate = Candidate(validation.accuracy(np.asarray(logits)), ebops(model), epoch=0)
    choice = pareto.choose([candidate], config.target, validation.accuracy(validation.teacher))
    return _Chosen(model, choice, Progress(front=(candidate,)))


def _test_metrics(quantized: QuantizedModel, test: Dataset, folder: Path) -> dict[str, Any]:
    logits = quantized.predict(test.quantized_x)
    write_logits(folder, logits)
    return classification_metrics(logits, test.y, test.weight, test.classes)


def _record(
    config: CompressConfig,
    chosen: _Chosen,
    quantized: QuantizedModel,
    uniform: float,
    float_accuracy: float,
) -> dict[str, Any]:
    """The section `compression` of result.json; accuracies in it are on the validation events."""
    weights = sum(layer["weights"] for layer in quantized.layers)
    nonzero = sum(layer["nonzero_weights"] for layer in quantized.layers)
    bits = sum(
        int(width) * count
        for layer in quantized.layers
        for width, count in layer["weight_bits"].items()
    )
    return {
        "method": config.method,
        "ebops": quantized.ebops,
        "ebops_uniform8": uniform,
        "ratio": uniform / max(quantized.ebops, 1.0),
        "weights": weights,
        "bits_mean": bits / max(weights, 1),
        "sparsity": 1 - nonzero / max(weights, 1),
        "pareto": [c.to_dict() for c in chosen.training.front],
        "chosen": chosen.choice.candidate.to_dict(),
        "validation_accuracy_float": float_accuracy,
        "target": config.target.model_dump(),
        "target_missed": chosen.choice.missed or None,
        "epochs": chosen.training.epochs,
        "seconds": chosen.training.seconds,
        "history": list(chosen.training.history),
        "layers": quantized.layers,
    }
