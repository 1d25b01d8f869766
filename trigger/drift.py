"""Whether scores or inputs are still distributed as they were: stability index and KS test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, kstwobign

from triggerforge.config.trigger import DriftConfig
from triggerforge.data.weights import effective, rising
from triggerforge.errors import DataError

_BINS = 10
_FLOOR = 0.5
"""events that an empty bin counts as, so that its logarithm is finite"""
Sample = tuple[NDArray[Any], NDArray[Any]]
"""values (N,) and weights (N,)"""


@dataclass(frozen=True)
class Drift:
    """One comparison of now with a reference."""

    name: str
    psi: float
    psi_chance: float
    """what chance alone stays below, but for the configured p-value"""
    ks: float
    """largest distance of the two cumulative distributions"""
    p_value: float
    alarm: bool


def drifts(pairs: Mapping[str, tuple[Sample, Sample]], config: DriftConfig) -> list[Drift]:
    """One row a name of (reference, now).

    An alarm: the stability index exceeds what chance gives by more than `config.psi`, or the KS
    test's p-value is below `config.p_value` divided by the number of rows (Bonferroni). Raises
    DataError for empty samples, NaN, and weights that do not sum to more than 0.
    """
    tests = max(1, len(pairs))
    rows = []
    for name, (reference, now) in pairs.items():
        for what, sample in (("reference", reference), ("now", now)):
            _require(f"drift of {name!r}, {what}", *sample)
        psi, bins = stability_index(reference, now)
        noise = 1 / effective(reference[1]) + 1 / effective(now[1])
        chance = float(chi2.isf(config.p_value / tests, max(1, bins - 1)) * noise)
        distance, p_value = kolmogorov(reference, now)
        alarm = psi > chance + config.psi or p_value < config.p_value / tests
        rows.append(Drift(name, psi, chance, distance, p_value, bool(alarm)))
    return rows


def stability_index(reference: Sample, now: Sample) -> tuple[float, int]:
    """The population stability index Σ (q - p) ln(q / p) over the reference's deciles, and how many
    bins these make (fewer where values are equal).

    Siddiqi, Credit Risk Scorecards (2006); without drift it is (1/N + 1/M) chi² with bins - 1
    degrees of freedom (Yurdakul, Western Michigan University (2018)). 0.1 to 0.25 is a moderate
    change by custom, more a large one.
    """
    inner = np.unique(np.quantile(reference[0], np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = []
    for values, weight in (reference, now):
        sums = np.bincount(
            np.searchsorted(inner, values, side="right"), weight, minlength=len(inner) + 1
        )
        least = _FLOOR / effective(weight)
        share = np.maximum(sums / sums.sum(), least)
        shares.append(share / share.sum())
    p, q = shares
    return float(((q - p) * np.log(q / p)).sum()), len(p)


def kolmogorov(reference: Sample, now: Sample) -> tuple[float, float]:
    """Distance of Kolmogorov and Smirnov, and the asymptotic p-value with effective numbers of events.

    With many equal values the p-value is too large: the test is then slow to call, never hasty.
    """
    points = np.unique(np.concatenate([reference[0], now[0]]))
    steps = [_cumulative(values, weight, points) for values, weight in (reference, now)]
    distance = float(np.abs(steps[0] - steps[1]).max())
    n, m = effective(reference[1]), effective(now[1])
    return distance, float(kstwobign.sf(distance * np.sqrt(n * m / (n + m))))


def _cumulative(
    values: NDArray[Any], weight: NDArray[Any], points: NDArray[Any]
) -> NDArray[np.float64]:
    order = np.argsort(values, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(weight, np.float64)[order])])
    reached = sums[np.searchsorted(values[order], points, "right")]
    part: NDArray[np.float64] = rising(np.concatenate([[0.0], reached]))[1:] / sums[-1]
    return part


def _require(what: str, values: NDArray[Any], weight: NDArray[Any]) -> None:
    if not len(values) or not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise DataError(
            f"{what}: {len(values)} values, {bad} of them NaN or infinite; mend the data"
        )
    if not np.sum(weight, dtype=np.float64) > 0:
        raise DataError(f"{what}: the weights must sum to more than 0; look at data.weights")
