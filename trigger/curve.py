"""The rate of a score cut, for every cut: background events in the order of their scores.

rate [kHz] = revolution frequency x colliding bunches x accepted fraction of the bunch crossings; the
revolution frequency is c / 26 658.883 m = 11.2455 kHz (LHC Design Report, CERN-2004-003). An event
passes where score >= threshold.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.weights import rising
from triggerforge.errors import DataError, RateError
from triggerforge.trigger.intervals import (
    ONE_SIGMA,
    Array,
    Method,
    Tally,
    interval,
    upper_limit,
)

REVOLUTION_KHZ = 11.2455
"""how often a bunch comes round in the LHC"""
LIMITS = (0.68, 0.95)
"""confidence levels of the upper limits"""
NEIGHBOURHOOD = 2.0
"""the heaviest event is looked for among those of so many times the rate; with 1, intervals of few
weighted events under-cover (92 % for 95 %), with more they over-cover (docs/trigger.md)"""


@dataclass(frozen=True)
class Rate:
    """An accepted rate with its statistical errors, all in kHz."""

    khz: float
    err: float | None
    """standard error; None where no event passes, where `limits` say all that is known"""
    low: float
    high: float
    """ends of the central 68.3 % interval"""
    events: int
    """background events that pass"""
    effective: float
    """unweighted events with the same relative error"""
    limits: dict[str, float]
    """upper limits by confidence level, {"0.68": …, "0.95": …}, where no event passes"""


class RateCurve:
    """Background scores (N,) and weights (N,), sorted once; rates for any threshold.

    Weights may be negative: they count with their sign, and the rate rises as the threshold falls all
    the same (triggerforge.data.weights). Raises DataError if there are no events, if a score or weight
    is NaN or infinite, or if the weights do not sum to more than 0.
    """

    def __init__(
        self,
        score: NDArray[Any],
        weight: NDArray[Any],
        colliding_bunches: int,
        method: Method = "mid-p",
        neighbourhood: float = NEIGHBOURHOOD,
    ) -> None:
        require_scores(score, weight, "background")
        order = np.argsort(-np.asarray(score, np.float64), kind="stable")
        self.scores: Array = np.asarray(score, np.float64)[order]
        """falling"""
        w = np.asarray(weight, np.float64)[order]
        self._sums = np.concatenate([[0.0], np.cumsum(w)])
        if np.min(w) < 0:
            known = np.concatenate([[0], self.steps])
            self._sums = np.interp(np.arange(len(w) + 1), known, rising(self._sums[known]))
        self._squares = np.concatenate([[0.0], np.cumsum(w**2)])
        self._running_heaviest = np.maximum.accumulate(np.abs(w))
        self.method = method
        self._neighbourhood = neighbourhood
        self.total_khz = REVOLUTION_KHZ * colliding_bunches
        """the rate of the bunch crossings"""

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """Numbers of events that a threshold can accept, without 0: equal scores pass together."""
        last = np.flatnonzero(np.diff(self.scores)) + 1
        return np.append(last, len(self.scores)).astype(np.int64)

    @cached_property
    def step_rates(self) -> Array:
        """The rate [kHz] of each of the `steps`."""
        return np.asarray(self.total_khz * self._sums[self.steps] / self._sums[-1])

    def accepted(self, threshold: float) -> int:
        """How many background events have a score of at least `threshold`."""
        return int(np.searchsorted(-self.scores, -threshold, side="right"))

    def tally(self, accepted: NDArray[np.int64] | int) -> Tally:
        """The sums where the `accepted` events of highest score pass; of the shape of `accepted`.

        The heaviest weight is looked for among the events of twice the rate: what is that near could
        have passed. Where no event passes, it is the heaviest of all.
        """
        passed, squares = self._sums[accepted], self._squares[accepted]
        reach = np.searchsorted(self._sums, self._neighbourhood * passed, side="left")
        near = self._running_heaviest[np.clip(reach, 1, len(self)) - 1]
        return Tally(
            passed=passed,
            passed_squares=squares,
            failed=np.maximum(self._sums[-1] - passed, 0.0) * (np.asarray(accepted) < len(self)),
            failed_squares=np.maximum(self._squares[-1] - squares, 0.0),
            heaviest=np.where(passed > 0, near, self._running_heaviest[-1]),
        )

    def rate(self, threshold: float) -> Rate:
        """The rate where score >= `threshold` is accepted.

        Raises RateError if the threshold is not a finite number.
        """
        if not np.isfinite(threshold):
            raise RateError(f"a threshold of {threshold} is no number; give a finite one")
        accepted = self.accepted(threshold)
        return rate_of(self.tally(accepted), accepted, self.total_khz, self.method)

    def band(
        self, accepted: NDArray[np.int64] | int, level: float = ONE_SIGMA
    ) -> tuple[Array, Array]:
        """Both ends [kHz] of the central interval of the rate where so many events pass."""
        low, high = interval(self.tally(accepted), level, self.method)
        return self.total_khz * low, self.total_khz * high


def rate_of(tally: Tally, events: int, total_khz: float, method: Method) -> Rate:
    """The rate where the tally's part of crossings of rate `total_khz` passes; `events` pass."""
    low, high = interval(tally, ONE_SIGMA, method)
    limits = {f"{c:g}": total_khz * float(upper_limit(tally, c)) for c in LIMITS}
    return Rate(
        khz=total_khz * float(tally.fraction),
        err=total_khz * float(tally.error) if tally.passed > 0 else None,
        low=total_khz * float(low),
        high=total_khz * float(high),
        events=events,
        effective=float(tally.effective),
        limits={} if tally.passed > 0 else limits,
    )


def require_scores(score: NDArray[Any], weight: NDArray[Any], what: str) -> None:
    """Raises DataError unless `score` and `weight` (N,) can make a rate or an efficiency.

    `what` names the events in the message.
    """
    if np.shape(score) != np.shape(weight) or np.ndim(score) != 1:
        raise DataError(
            f"{what}: scores of shape {np.shape(score)} for weights of shape {np.shape(weight)}; "
            "both must be (events,)"
        )
    if not len(score):
        raise DataError(f"{what}: no events; name classes that the test part holds")
    for name, values in (("scores", score), ("weights", weight)):
        bad = ~np.isfinite(values)
        if bad.any():
            raise DataError(
                f"{what}: {int(bad.sum())} of {len(values)} {name} are NaN or infinite, the first in "
                f"event {int(np.argmax(bad))}; mend the events or the model, then run again"
            )
    total = float(np.sum(weight, dtype=np.float64))
    if not total > 0:
        raise DataError(
            f"{what}: the {len(weight)} weights sum to {total:g}; they must sum to more than 0: use more "
            "events, or look at data.weights"
        )
