"""A working point: threshold, rate and efficiencies of one model at one target rate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import RateError
from triggerforge.reasons import said_once
from triggerforge.result import RateRow
from triggerforge.training.differences import Difference
from triggerforge.trigger.curve import Rate
from triggerforge.trigger.efficiency import Efficiency, efficiency, paired
from triggerforge.trigger.grid import to_lsb
from triggerforge.trigger.score import Scored
from triggerforge.trigger.threshold import Threshold, asked, threshold_for


@dataclass(frozen=True)
class WorkingPoint:
    """What one model does at the threshold for one target rate."""

    model: str
    target_khz: float
    threshold: Threshold
    lsb: int | None
    """the threshold as firmware's integer; None for a float model"""
    efficiency: Mapping[str, Efficiency]
    """by signal"""
    minus_float: Mapping[str, Difference]
    """by signal; empty for the float model, and where that has no such working point"""

    @property
    def row(self) -> RateRow:
        """The row of result.json."""
        rate, found = self.threshold.rate, self.efficiency
        assert rate.err is not None, "threshold_for accepts events"
        return RateRow(
            model=self.model,
            target_khz=self.target_khz,
            threshold=self.threshold.value,
            threshold_low=self.threshold.low,
            threshold_high=self.threshold.high,
            threshold_lsb=self.lsb,
            rate_khz=rate.khz,
            rate_err_khz=rate.err,
            rate_low_khz=rate.low,
            rate_high_khz=rate.high,
            events=rate.events,
            effective_events=rate.effective,
            efficiency={n: e.value for n, e in found.items()},
            efficiency_err={n: e.err for n, e in found.items()},
            efficiency_low={n: e.low for n, e in found.items()},
            efficiency_high={n: e.high for n, e in found.items()},
            efficiency_minus_float={n: d.value for n, d in self.minus_float.items()},
            efficiency_minus_float_err={n: d.err for n, d in self.minus_float.items()},
        )


@dataclass(frozen=True)
class Points:
    """The working points that the sample supports, and why it does not support the others."""

    found: tuple[WorkingPoint, ...]
    refused: Mapping[str, str]
    """"model at target" → reason"""

    @property
    def refusals(self) -> list[tuple[str, str]]:
        """(what was refused, reason), each reason once."""
        return said_once(self.refused.items())


def working_points(models: Iterable[Scored], targets: Iterable[float]) -> Points:
    """Every model at every target rate [kHz], the float model first so that others compare with it.

    Raises DataError where a signal has no events or weights that cannot be used.
    """
    found: list[WorkingPoint] = []
    refused: dict[str, str] = {}
    every = list(models)
    reference = next((m for m in every if m.model == "float"), None)
    for target in targets:
        base: float | None = None
        for model in every:
            try:
                point = working_point(model, target)
            except RateError as error:
                # the key names the target; without it a reason that others share is the same text
                why = str(error).removeprefix(f"{asked(target)} is ")
                refused[f"{model.model} at {target:g} kHz"] = why
                continue
            if model is reference:
                base = point.threshold.value
            elif reference is not None and base is not None:
                point = replace(point, minus_float=_differences(model, point, reference, base))
            found.append(point)
    return Points(tuple(found), refused)


def working_point(model: Scored, target_khz: float) -> WorkingPoint:
    """One model at one target rate; raises RateError if the sample does not support it."""
    threshold = threshold_for(model.curve, target_khz, model.config.min_events)
    value = threshold.value
    lsb = None if model.grid is None else to_lsb(value, model.grid)
    return WorkingPoint(model.model, target_khz, threshold, lsb, efficiencies(model, value), {})


def efficiencies(model: Scored, threshold: float) -> dict[str, Efficiency]:
    """The efficiency of each signal for score >= `threshold`."""
    found = {}
    for name in model.signals:
        kept = model.chosen([name])
        what = f"signal {name!r} of the {model.model} model"
        passed = model.score[kept] >= threshold
        found[name] = efficiency(passed, model.test.weight[kept], what, model.config.interval)
    return found


def rate_at(model: Scored, threshold: float) -> tuple[Rate, dict[str, Efficiency]]:
    """The rate and the efficiencies for a threshold that somebody gives.

    Raises RateError if it is outside the scores' range, or off the grid of a firmware score.
    """
    low, high = float(model.score.min()), float(model.score.max())
    if model.grid is not None:
        to_lsb(threshold, model.grid)
    elif not low <= threshold <= high:
        raise RateError(
            f"threshold {threshold:g} is outside {low:g}..{high:g}, the range of the {model.model} "
            f"model's scores of {len(model.score)} test events; choose one inside"
        )
    return model.curve.rate(threshold), efficiencies(model, threshold)


def _differences(
    model: Scored, point: WorkingPoint, reference: Scored, base: float
) -> dict[str, Difference]:
    """On the events that both models have scores of."""
    both = min(len(model.score), len(reference.score))
    found = {}
    for name in model.signals:
        kept: NDArray[np.bool_] = model.chosen([name])[:both]
        weight: NDArray[Any] = model.test.weight[:both][kept]
        if weight.sum() > 0:
            mine = model.score[:both][kept] >= point.threshold.value
            theirs = reference.score[:both][kept] >= base
            found[name] = paired(mine, theirs, weight)
    return found
