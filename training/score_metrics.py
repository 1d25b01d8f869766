"""How well one score tells each signal from ordinary events, with statistical errors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.dataset import of_classes
from triggerforge.training.metrics import auc, rejections, require_usable


def score_metrics(
    score: NDArray[Any],
    y: NDArray[Any],
    weight: NDArray[Any],
    classes: Sequence[str],
    background: Sequence[str],
) -> dict[str, Any]:
    """AUC and background rejection of every signal against background, as plain values for JSON.

    score (N, 1), the larger the less ordinary; y (N,) labels of `classes`, weight (N,). Other signals
    take no part in a signal's numbers. Gives {"auc": {signal: A}, "auc_err": {…}, "rejection": {…}} as
    `classification_metrics` does. Raises DataError if shapes differ, a score is not finite, or a
    class has no events.
    """
    require_usable(score, y, weight, ("anomaly score",), classes)
    ordinary = of_classes(y, classes, background)
    found: dict[str, dict[str, Any]] = {"auc": {}, "auc_err": {}, "rejection": {}}
    for label, name in enumerate(classes):
        if name in background:
            continue
        kept = ordinary | (y == label)
        s, signal, w = score[kept, 0], y[kept] == label, np.asarray(weight, np.float64)[kept]
        found["auc"][name], found["auc_err"][name] = auc(s, signal, w)
        found["rejection"][name] = rejections(s, signal, w)
    return found
