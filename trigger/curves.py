"""Curves for plots: rate and efficiencies along the thresholds, a hundred points of each."""

from typing import Any

import numpy as np

from triggerforge.data.weights import rising
from triggerforge.trigger.intervals import Array
from triggerforge.trigger.score import Scored
from triggerforge.trigger.threshold import smallest_rate

_POINTS = 120


def curve_points(model: Scored) -> dict[str, Any]:
    """Thresholds, rates [kHz] with their 68.3 % bands and efficiencies by signal, rates falling.

    Points lie at even steps of log(rate), from all crossings to the smallest rate that the sample
    supports. Raises RateError if it supports none.
    """
    curve = model.curve
    rates = curve.step_rates
    least = smallest_rate(curve, model.config.min_events)
    wanted = np.geomspace(rates[-1], least, _POINTS)
    steps = np.unique(np.searchsorted(rates, wanted * (1 + 1e-12), side="right") - 1)[::-1]
    steps = steps[rates[steps] >= least * (1 - 1e-12)]
    accepted = curve.steps[steps]
    low, high = curve.band(accepted)
    thresholds = curve.scores[accepted - 1]
    return {
        "threshold": thresholds.tolist(),
        "rate_khz": rates[steps].tolist(),
        "low_khz": low.tolist(),
        "high_khz": high.tolist(),
        "efficiency": {n: _efficiency(model, n, thresholds).tolist() for n in model.signals},
    }


def _efficiency(model: Scored, name: str, thresholds: Array) -> Array:
    kept = model.chosen([name])
    score = model.score[kept]
    order = np.argsort(-score, kind="stable")
    weight = model.test.weight[kept].astype(np.float64)[order]
    sums = rising(np.concatenate([[0.0], np.cumsum(weight)]))
    found: Array = sums[np.searchsorted(-score[order], -thresholds, side="right")] / sums[-1]
    return found
