"""The part of a signal that passes a threshold, and how it differs between two models."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.training.differences import Difference, paired_mean
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

    Events that pass both, or neither, do not add to the error.
    """
    return paired_mean(passed.astype(np.float64) - reference, weight)
