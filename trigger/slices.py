"""The rate at fixed thresholds against pile-up or time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from triggerforge.trigger.curve import rate_of, require_scores
from triggerforge.trigger.intervals import Array, Tally
from triggerforge.trigger.score import Scored
from triggerforge.trigger.turnon import require_observable
from triggerforge.trigger.working import WorkingPoint


def slice_numbers(values: NDArray[Any], slices: int) -> tuple[Array, NDArray[np.int64]]:
    """Edges of slices with about equal numbers of `values` (N,), and each value's slice.

    Equal values are of one slice, so that there may be fewer slices than asked for.
    """
    edges = np.unique(np.quantile(np.asarray(values, np.float64), np.linspace(0, 1, slices + 1)))
    place = np.searchsorted(edges, values, side="right") - 1
    return edges, np.clip(place, 0, max(0, len(edges) - 2)).astype(np.int64)


def rate_in_slices(
    model: Scored, points: Sequence[WorkingPoint], observable: str, where: str
) -> list[dict[str, Any]]:
    """One entry a working point: rates [kHz] in slices of the observable, as plain values.

    A slice's rate is that which all crossings together would have, were they all as in the slice.
    Raises DataError where the weights of a slice do not sum to more than 0.
    `p_value`: of chi² for one rate in all slices, with the errors that one rate gives; `alarm` where
    it is below `trigger.drift.p_value`. Raises ConfigError if the data lacks the observable.
    """
    require_observable(observable, model.test, where)
    kept = model.background & (model.test.weight != 0)
    weight = model.test.weight[kept].astype(np.float64)
    edges, place = slice_numbers(model.test.observables[observable][kept], model.config.slices)
    for i in range(place.max() + 1):
        what = f"{observable} from {edges[i]:g} to {edges[i + 1]:g} (trigger.slices)"
        require_scores(np.zeros(np.count_nonzero(place == i)), weight[place == i], what)
    entries = []
    for point in points:
        passed = model.score[kept] >= point.threshold.value
        tallies = [Tally.of(passed[place == i], weight[place == i]) for i in range(place.max() + 1)]
        counts = np.bincount(place[passed], minlength=len(tallies))
        full, method = model.curve.total_khz, model.config.interval
        rates = [rate_of(t, int(n), full, method) for t, n in zip(tallies, counts, strict=True)]
        p_value = _same(tallies)
        entries.append(
            {
                "observable": observable,
                "target_khz": point.target_khz,
                "edges": edges.tolist(),
                "rate_khz": [r.khz for r in rates],
                "low_khz": [r.low for r in rates],
                "high_khz": [r.high for r in rates],
                "p_value": p_value,
                "alarm": p_value is not None and p_value < model.config.drift.p_value,
            }
        )
    return entries


def _same(tallies: Sequence[Tally]) -> float | None:
    """The p-value of one fraction in all slices; None where nothing, or all, passes."""
    passed = sum(float(t.passed) for t in tallies)
    total = sum(float(t.passed + t.failed) for t in tallies)
    common = passed / total
    if not 0 < common < 1 or len(tallies) < 2:
        return None
    # the spread of one fraction: Σ_pass w² stands for that of the events that pass
    squares = sum(float(t.passed_squares) for t in tallies) / passed
    spread = [squares * common * (1 - common) / float(t.passed + t.failed) for t in tallies]
    pulls = sum((float(t.fraction) - common) ** 2 / s for t, s in zip(tallies, spread, strict=True))
    return float(chi2.sf(pulls, len(tallies) - 1))
