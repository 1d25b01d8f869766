"""What a quantised network is trained for and judged by: right answers, or the same rate as before."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.functional import ClassLoss, Events, Loss
from triggerforge.compression.overlap import Overlap
from triggerforge.compression.rate_loss import RateLoss
from triggerforge.config.compress import DistillConfig
from triggerforge.data.weights import share
from triggerforge.training.task import Task


@dataclass(frozen=True)
class Sample:
    """Events to learn from or to judge by. N events, O outputs."""

    x: NDArray[np.float32]
    """(N, *shape) on the contract's grid"""
    y: NDArray[np.int64]
    weight: NDArray[np.float32]
    teacher: NDArray[np.float32]
    """(N, O): outputs of the float model"""

    def on_device(self) -> Events:
        """The same, for JAX; weights are scaled to 1 on average."""
        weight = self.weight / np.mean(self.weight, dtype=np.float64)
        return Events(
            x=jnp.asarray(self.x, jnp.float32),
            y=jnp.asarray(self.y, jnp.int32),
            weight=jnp.asarray(weight, jnp.float32),
            teacher=jnp.asarray(self.teacher, jnp.float32),
        )


class Measure(Protocol):
    """How good outputs (N, O) on the validation events are, 0..1."""

    def __call__(self, outputs: NDArray[np.floating[Any]]) -> float:
        """The larger the better."""


@dataclass(frozen=True)
class Accuracy:
    """The weighted part of the events whose largest logit is the label's."""

    y: NDArray[np.int64]
    weight: NDArray[np.float32]

    def __call__(self, outputs: NDArray[np.floating[Any]]) -> float:
        """See Measure."""
        w = np.asarray(self.weight, np.float64)
        return float(share(w[outputs.argmax(axis=1) == self.y].sum(), w.sum()))


@dataclass(frozen=True)
class Goal:
    """Events, the loss on those that are learned from, the measure on the others."""

    train: Sample
    validation: Sample
    loss: Loss
    measure: Measure
    measured: str
    """name of the measure: accuracy or overlap"""

    @classmethod
    def of(cls, task: Task, config: DistillConfig, train: Sample, validation: Sample) -> Self:
        """Accuracy for classes; for a score the events that float and quantised model both keep.

        Raises ModelError where the float model's score is a constant.
        """
        if not task.scores:
            loss = ClassLoss(config.weight, config.temperature)
            judged: Measure = Accuracy(validation.y, validation.weight)
            return cls(train, validation, loss, judged, "accuracy")
        rates = RateLoss.of(train.teacher[:, 0], train.weight)
        learned = replace(train, weight=rates.weights(train.teacher[:, 0]))
        overlap = Overlap.of(validation.teacher[:, 0], validation.weight)
        return cls(learned, validation, rates, overlap, "overlap")
