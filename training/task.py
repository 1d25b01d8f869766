"""What a network is to do: tell classes apart, or say how unlike ordinary events an event is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.dataset import Dataset, Splits, of_classes
from triggerforge.training.metrics import classification_metrics
from triggerforge.training.score_metrics import score_metrics

SCORE = "anomaly"
"""name of the one output of a network that gives a score"""


@dataclass(frozen=True)
class Task:
    """The classes by label, and those that an anomaly score is learned from."""

    classes: tuple[str, ...]
    background: tuple[str, ...] = ()
    """empty: the network gives a number for each class"""

    @classmethod
    def of(cls, splits: Splits) -> "Task":
        """That of the events."""
        return cls(tuple(splits.classes), tuple(splits.background))

    @property
    def scores(self) -> bool:
        """Whether the network has one output, the anomaly score."""
        return bool(self.background)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the network's outputs."""
        return (SCORE,) if self.scores else self.classes

    @property
    def signals(self) -> tuple[str, ...]:
        """The classes that are no background; none where classes are told apart."""
        return tuple(c for c in self.classes if c not in self.background) if self.scores else ()

    def is_background(self, y: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Where the labels (N,) are of background."""
        return of_classes(y, self.classes, self.background)

    def learned_from(self, events: Dataset) -> Dataset:
        """The events that training may see: for a score, background alone, whatever the labels."""
        if not self.scores:
            return events
        return events.take(np.flatnonzero(self.is_background(events.y)))

    def metrics(
        self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]
    ) -> dict[str, Any]:
        """Metrics of outputs (N, O) for labels and weights (N,); raises DataError as they do."""
        if not self.scores:
            return classification_metrics(outputs, y, weight, self.classes)
        return score_metrics(outputs, y, weight, self.classes, self.background)


def summary(metrics: dict[str, Any]) -> str:
    """One line for a log: accuracy where there is one, and each class' AUC, with errors."""
    aucs = ", ".join(
        f"{name} {value:.4f} ± {metrics['auc_err'][name]:.4f}"
        for name, value in metrics["auc"].items()
    )
    if "accuracy" not in metrics:
        return f"AUC {aucs}"
    return f"accuracy {metrics['accuracy']:.4f} ± {metrics['accuracy_err']:.4f}; AUC {aucs}"
