"""The part of a signal that passes a threshold, and how it differs between two models."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.trigger.curve import require_scores
from triggerforge.trigger.intervals import ONE_SIGMA, Method, Tally, interval


@dataclass(frozen=True)
class Efficiency:
    """An efficiency with its standard error and its central 68.3 % interval."""

    value: float
    err: float
    low: float
    high: float
    events: int
    """signal events looked at"""


@dataclass(frozen=True)
class Difference:
    """The efficiency of one model less that of another, on the same events."""

    value: float
    err: float


def efficiency(
    passed: NDArray[np.bool_], weight: NDArray[Any], what: str, method: Method = "mid-p"
) -> Efficiency:
    """The weighted part of the events that `passed` (N,), with weights (N,).

    Error and interval: triggerforge.trigger.intervals. `what` names the events in the DataError that
    is raised where there are none, or where weights cannot be used.
    """
    require_scores(np.zeros(len(passed)), weight, what)
    tally = Tally.of(passed, weight)
    low, high = interval(tally, ONE_SIGMA, method)
    return Efficiency(
        float(tally.fraction), float(tally.error), float(low), float(high), len(passed)
    )


def paired(
    passed: NDArray[np.bool_], reference: NDArray[np.bool_], weight: NDArray[Any]
) -> Difference:
    """How much more of the same events (N,) passes one trigger than the other.

    Events that pass both, or neither, do not add to the error, which is that of McNemar's test
    (Psychometrika 12 (1947) 153) for weighted events: sqrt(Σ w² (d - <d>)²) / Σ w with d = -1, 0, 1.
    """
    w = np.asarray(weight, np.float64)
    change = passed.astype(np.float64) - reference
    mean = float(np.clip(np.average(change, weights=w), -1.0, 1.0))
    err = float(np.sqrt((w**2 * (change - mean) ** 2).sum()) / w.sum())
    return Difference(mean, err)
