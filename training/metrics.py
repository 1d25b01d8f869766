"""How well a classifier does, with statistical errors.

Every class is looked at against all others together (one versus rest). The score of class c is
z_c - log sum_{j != c} exp(z_j), the log-odds of its softmax probability, which does not run into
the ends of floating point as the probability does.

Weights may be negative: they count with their sign (triggerforge.data.weights).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, logsumexp

from triggerforge.data.weights import effective, rising, share
from triggerforge.errors import DataError

SIGNAL_EFFICIENCIES = (0.3, 0.5)
_FEW = 10.0
_CONFIDENCE = 0.95
Array = NDArray[np.float64]


def classification_metrics(
    logits: NDArray[Any], y: NDArray[Any], weight: NDArray[Any], classes: Sequence[str]
) -> dict[str, Any]:
    """Accuracy, AUC and background rejection with errors, as plain values for JSON.

    logits (N, C), y (N,) labels, weight (N,) event weights. Gives
    {"accuracy", "accuracy_err", "auc": {class: A}, "auc_err": {class: …},
     "rejection": {class: {"0.3": {"value", "err", "passed"[, "lower_limit_95"]}, "0.5": …}},
     "confusion": [[weight of true class i taken for class j]]}.

    `passed` is the number of background events behind the rejection; below one the value is null,
    below ten `lower_limit_95` is given as well. Raises DataError if shapes differ, a logit is not
    finite, or a class has no events.
    """
    require_usable(logits, y, weight, classes, classes)
    w = np.asarray(weight, np.float64)
    accuracy = _accuracy(logits, y, w)
    curves = {name: _one_versus_rest(logits, y, w, c) for c, name in enumerate(classes)}
    return {
        "accuracy": accuracy[0],
        "accuracy_err": accuracy[1],
        "auc": {name: entry["auc"] for name, entry in curves.items()},
        "auc_err": {name: entry["auc_err"] for name, entry in curves.items()},
        "rejection": {name: entry["rejection"] for name, entry in curves.items()},
        "confusion": confusion(logits, y, w).tolist(),
    }


def roc(
    logits: NDArray[Any], y: NDArray[Any], weight: NDArray[Any], cls: int
) -> tuple[Array, Array]:
    """Signal and background efficiencies along the ROC of class number `cls`, both rising from 0.

    logits (N, C), y (N,), weight (N,).
    """
    return _roc(scores(logits, cls), np.asarray(y) == cls, np.asarray(weight, np.float64))


def scores(logits: NDArray[Any], cls: int) -> Array:
    """Log-odds of class number `cls` against the rest: (N, C) to (N,)."""
    z = np.asarray(logits, np.float64)
    odds: Array = z[:, cls] - logsumexp(np.delete(z, cls, axis=1), axis=1)
    return odds


def confusion(logits: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> Array:
    """Summed weights (C, C): rows are true classes, columns the class with the highest logit."""
    count = logits.shape[1]
    cell = np.asarray(y) * count + np.argmax(logits, axis=1)
    sums: Array = np.bincount(cell, weight, minlength=count * count).astype(np.float64)
    return sums.reshape(count, count)


def auc(
    score: NDArray[Any], signal: NDArray[np.bool_], weight: NDArray[Any]
) -> tuple[float, float]:
    """Area under the ROC and its error, from scores (N,), truth (N,) and weights (N,).

    The error is that of DeLong, DeLong and Clarke-Pearson (Biometrics 44 (1988) 837): the area is
    the mean over signal events of the part of background below them (ties count half), and the
    same with the two exchanged; the variances of these two means add up. With event weights, means
    and variances are the weighted ones; with negative ones the area is that of the ROC, which rises.
    """
    below, above = placements(score, signal, weight)
    ws, wb = np.asarray(weight)[signal], np.asarray(weight)[~signal]
    signal_eff, background_eff = _roc(np.asarray(score), signal, np.asarray(weight, np.float64))
    area = float(np.trapezoid(signal_eff, background_eff))
    variance = _variance_of_mean(below, area, ws) + _variance_of_mean(above, area, wb)
    return area, float(np.sqrt(variance))


def placements(
    score: NDArray[Any], signal: NDArray[np.bool_], weight: NDArray[Any]
) -> tuple[Array, Array]:
    """For each signal event the part of background below it, for each background event that of signal above.

    Scores (N,), truth (N,), weights (N,); equal scores count half. The mean of either is the AUC.
    """
    s, b = np.asarray(score)[signal], np.asarray(score)[~signal]
    ws, wb = np.asarray(weight)[signal], np.asarray(weight)[~signal]
    return _part_below(s, b, wb), 1 - _part_below(b, s, ws)


def rejection(
    score: NDArray[Any], signal: NDArray[np.bool_], weight: NDArray[Any], efficiency: float
) -> dict[str, Any]:
    """1/eps_B where the signal efficiency is `efficiency`, with its binomial error.

    The ROC is interpolated linearly. Weighted background counts as (sum w)^2 / sum w^2 events. The
    limit is the classical one of Garwood (Biometrika 28 (1936) 437) at 95 %, for a Poisson count.
    """
    curve = _roc(np.asarray(score), signal, np.asarray(weight, np.float64))
    background = effective(np.asarray(weight)[~signal])
    eps = float(np.interp(efficiency, *curve))
    passed = eps * background
    entry: dict[str, Any] = {"value": None, "err": None, "passed": passed}
    if passed >= 1:
        entry |= {"value": 1 / eps, "err": float(np.sqrt((1 - eps) / passed)) / eps}
    if passed < _FEW:
        upper = float(gammaincinv(passed + 1, _CONFIDENCE))
        entry["lower_limit_95"] = max(1.0, background / upper)
    return entry


def rejections(
    score: NDArray[Any], signal: NDArray[np.bool_], weight: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """`rejection` at each of SIGNAL_EFFICIENCIES, by "0.3" and so on."""
    return {f"{e:g}": rejection(score, signal, weight, e) for e in SIGNAL_EFFICIENCIES}


def _roc(score: NDArray[Any], signal: NDArray[np.bool_], w: Array) -> tuple[Array, Array]:
    """Efficiencies of signal and background for every cut, from none to all events passing."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    # events of equal score pass together: only the last of them is a point of the curve
    last = np.concatenate([np.flatnonzero(np.diff(ranked)), [len(ranked) - 1]])
    passed = [np.cumsum(np.where(kind[order], w[order], 0.0))[last] for kind in (signal, ~signal)]
    signal_eff, background_eff = (rising(np.concatenate([[0.0], p])) / p[-1] for p in passed)
    return signal_eff, background_eff


def _one_versus_rest(logits: NDArray[Any], y: NDArray[Any], w: Array, cls: int) -> dict[str, Any]:
    score, signal = scores(logits, cls), np.asarray(y) == cls
    area, error = auc(score, signal, w)
    return {"auc": area, "auc_err": error, "rejection": rejections(score, signal, w)}


def _accuracy(logits: NDArray[Any], y: NDArray[Any], w: Array) -> tuple[float, float]:
    """The weighted part of right answers and its error; binomial for weights of 1."""
    right = np.argmax(logits, axis=1) == y
    value = float(share(w[right].sum(), w.sum()))
    return value, float(np.sqrt((w**2 * (right - value) ** 2).sum()) / w.sum())


def _part_below(x: NDArray[Any], others: NDArray[Any], w: NDArray[Any]) -> Array:
    """For each x the weighted part of `others` below it; equal ones count half."""
    order = np.argsort(others, kind="stable")
    ranked = others[order]
    # sums are known between the values, not among equal ones
    edges = np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1, [len(ranked)]])
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(w, np.float64)[order])])
    total = rising(sums[edges])
    low, high = (np.searchsorted(ranked, x, side) for side in ("left", "right"))
    low, high = np.searchsorted(edges, low), np.searchsorted(edges, high)
    part: Array = (total[low] + total[high]) / (2 * total[-1])
    return part


def _variance_of_mean(values: Array, mean: float, w: NDArray[Any]) -> float:
    """Variance of a weighted mean; for equal weights the sample variance over n."""
    v = np.asarray(w, np.float64) / np.sum(w, dtype=np.float64)
    spread = float((v**2 * (values - mean) ** 2).sum())
    events = effective(v)
    return spread * events / (events - 1) if events > 1 else spread


def require_usable(
    outputs: NDArray[Any],
    y: NDArray[Any],
    weight: NDArray[Any],
    columns: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Raises DataError unless outputs (N, O) of the names `columns` can be judged by labels (N,)."""
    if outputs.shape != (len(y), len(columns)) or len(weight) != len(y):
        raise DataError(
            f"logits of shape {outputs.shape} and {len(weight)} weights for {len(y)} labels; wanted "
            f"is one logit for each of {list(columns)}: (events, {len(columns)})"
        )
    bad = ~np.isfinite(outputs)
    if bad.any():
        first = np.argwhere(bad)[0]
        raise DataError(
            f"{int(bad.sum())} logits are NaN or infinite, the first of class "
            f"{columns[first[1]]!r} in event {first[0]}; look at the model's inputs and weights"
        )
    sums = np.bincount(y, weight, minlength=len(classes))
    missing = [f"{c} ({s:g})" for c, s in zip(classes, sums, strict=True) if not s > 0]
    if missing:
        raise DataError(
            f"no events, or weights that sum to no more than 0, of {', '.join(missing)} among {len(y)}; "
            "metrics need every class: use more events or leave the class out of `data.classes`"
        )
