"""What a form of the network gains or loses against another, on the same events.

Both forms see the same events, so that most of the statistical error is common to them: the error of
the difference is far smaller than the two errors added, and is worked out from the events themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.weights import effective, rising, share
from triggerforge.training.metrics import SIGNAL_EFFICIENCIES, auc, placements, scores
from triggerforge.training.task import Task

_FEWEST = 10.0
"""effective background events that must pass in both forms, for an error of their rejections"""
_DRAWS, _SEED = 200, 0
"""resamples behind the error of a rejection; always the same ones"""
_CENTRAL = (15.87, 84.13)
"""percentiles between which 68.3 % lie"""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """One form less the other, with its statistical error, one standard deviation."""

    value: float
    err: float


def paired_mean(change: NDArray[Any], weight: NDArray[Any]) -> Difference:
    """The weighted mean of `change` (N,), event by event, and its error.

    sqrt(Σ w² (d - <d>)²) / Σ w; for d = -1, 0, 1 and equal weights that is McNemar's (Psychometrika 12
    (1947) 153): events in which both agree add nothing. With weights of both signs the mean is kept
    within -1 to 1, where every change lies.
    """
    w = np.asarray(weight, np.float64)
    mean = float(np.clip(np.average(change, weights=w), -1.0, 1.0))
    return Difference(mean, float(np.sqrt((w**2 * (change - mean) ** 2).sum()) / w.sum()))


def differences(
    outputs: NDArray[Any],
    reference: NDArray[Any],
    y: NDArray[Any],
    weight: NDArray[Any],
    task: Task,
) -> dict[str, Any]:
    """Metrics of `outputs` less those of `reference`, both (N, O), for labels and weights (N,).

    Plain values for JSON, with the keys of the metrics themselves: {"events": N, "accuracy",
    "accuracy_err", "auc": {name: …}, "auc_err", "rejection": {name: {"0.3": {"value", "err"}, …}}}; an
    anomaly score has no accuracy. A rejection is null where fewer than ten effective background events
    pass in either.
    """
    w = np.asarray(weight, np.float64)
    found: dict[str, Any] = {"events": len(y)}
    if not task.scores:
        right = [(np.argmax(z, axis=1) == y).astype(np.float64) for z in (outputs, reference)]
        mine, theirs = (float(share((w * r).sum(), w.sum())) for r in right)
        found |= {
            "accuracy": mine - theirs,
            "accuracy_err": paired_mean(right[0] - right[1], w).err,
        }
    tests = dict(_tests(outputs, reference, y, w, task))
    areas = {name: auc_difference(*forms) for name, forms in tests.items()}
    found["auc"] = {name: area.value for name, area in areas.items()}
    found["auc_err"] = {name: area.err for name, area in areas.items()}
    found["rejection"] = rejection_differences(tests, len(y))
    return found


@dataclass(frozen=True)
class _Test:
    """Scores (K,), truth (K,) and weights (K,) of one signal against its background."""

    score: Array
    signal: NDArray[np.bool_]
    weight: Array
    kept: NDArray[np.intp]
    """(K,): which of all events these are"""

    @property
    def effective(self) -> float:
        """The unweighted background events with the same relative error."""
        return effective(self.weight[~self.signal])


Forms = tuple[_Test, _Test]


def _tests(
    outputs: NDArray[Any], reference: NDArray[Any], y: NDArray[Any], w: Array, task: Task
) -> Iterator[tuple[str, Forms]]:
    """For each class or signal: its name, and the test by `outputs` and by `reference`."""
    for label, name in enumerate(task.classes):
        if name in task.background:
            continue
        signal = y == label
        kept = np.flatnonzero(task.is_background(y) | signal) if task.scores else np.arange(len(y))
        mine, theirs = (
            _Test(np.asarray(s, np.float64)[kept], signal[kept], w[kept], kept)
            for z in (outputs, reference)
            for s in [z[:, 0] if task.scores else scores(z, label)]
        )
        yield name, (mine, theirs)


def auc_difference(one: _Test, other: _Test) -> Difference:
    """Area under the ROC of `one` less that of `other`, by DeLong's method for the same events.

    E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Biometrics 44 (1988) 837.
    """
    (below, above), (below_other, above_other) = (
        placements(t.score, t.signal, t.weight) for t in (one, other)
    )
    signal = paired_mean(below - below_other, one.weight[one.signal])
    background = paired_mean(above - above_other, one.weight[~one.signal])
    mine, theirs = (auc(t.score, t.signal, t.weight)[0] for t in (one, other))
    return Difference(mine - theirs, float(np.hypot(signal.err, background.err)))


def rejection_differences(
    tests: Mapping[str, Forms], events: int
) -> dict[str, dict[str, dict[str, float | None]]]:
    """1/ε_B of the first form less that of the second, by name and signal efficiency.

    The error is half the width of the central 68.3 % of the differences in resamples of the `events`: a
    rejection is too far from linear in its events for a formula, where few of them pass.
    """
    ranked = {name: [_Ranked.of(test) for test in forms] for name, forms in tests.items()}
    draw = np.random.default_rng(_SEED)
    drawn: dict[str, list[Array]] = {name: [] for name in tests}
    for _ in range(_DRAWS):
        times = draw.poisson(1.0, events)
        for name, forms in ranked.items():
            test = tests[name][0]
            weight = test.weight * times[test.kept]
            drawn[name].append(_rejections(forms, weight, test.effective))
    return {name: _difference(tests[name], ranked[name], np.array(drawn[name])) for name in tests}


def _rejections(forms: Sequence["_Ranked"], weight: Array, effective: float) -> Array:
    """1/ε_B of both forms (2, efficiencies); where less than one event passes, as if one did."""
    found = [form.background_efficiencies(weight) for form in forms]
    return 1 / np.maximum(np.array(found), 1 / effective)


def _difference(
    forms: Forms, ranked: Sequence["_Ranked"], drawn: Array
) -> dict[str, dict[str, float | None]]:
    """The record of one name out of the resampled rejections (draws, 2, efficiencies)."""
    effective = forms[0].effective
    whole = _rejections(ranked, forms[0].weight, effective)
    low, high = np.percentile(drawn[:, 0] - drawn[:, 1], _CENTRAL, axis=0)
    found: dict[str, dict[str, float | None]] = {}
    for i, efficiency in enumerate(SIGNAL_EFFICIENCIES):
        known = effective / whole[:, i].max() >= _FEWEST
        found[f"{efficiency:g}"] = {
            "value": float(whole[0, i] - whole[1, i]) if known else None,
            "err": float(high[i] - low[i]) / 2 if known else None,
        }
    return found


@dataclass(frozen=True)
class _Ranked:
    """Events in falling order of their score, so that a resample needs no sorting."""

    order: NDArray[np.intp]
    signal: NDArray[np.bool_]
    last: NDArray[np.intp]
    """the last of the events of each score: they pass together"""

    @classmethod
    def of(cls, test: _Test) -> "_Ranked":
        order = np.argsort(-test.score, kind="stable")
        last = np.concatenate([np.flatnonzero(np.diff(test.score[order])), [len(order) - 1]])
        return cls(order, test.signal[order], last)

    def background_efficiencies(self, weight: Array) -> Array:
        """ε_B at SIGNAL_EFFICIENCIES with these weights (N,), the ROC interpolated linearly."""
        w = weight[self.order]
        signal, rest = (
            self._efficiency(np.where(kind, w, 0.0)) for kind in (self.signal, ~self.signal)
        )
        found: Array = np.interp(SIGNAL_EFFICIENCIES, signal, rest)
        return found

    def _efficiency(self, weight: Array) -> Array:
        """What part of the weights passes each cut; zeros where a resample holds none of the kind."""
        passed = np.cumsum(weight)[self.last]
        whole = passed[-1] if passed[-1] > 0 else 1.0
        return rising(np.concatenate([[0.0], passed])) / whole
