"""Turn-on curves: the efficiency of a working point against a quantity of the event."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from triggerforge.data.dataset import Dataset
from triggerforge.errors import ConfigError, did_you_mean
from triggerforge.trigger.intervals import ONE_SIGMA, Tally, interval
from triggerforge.trigger.score import Scored
from triggerforge.trigger.working import WorkingPoint

_BINS = 12
_TAILS = (0.5, 99.5)
_IN_GEV = {"pt", "ht", "met", "et", "mht", "mass", "energy"}


def turn_on(model: Scored, points: Sequence[WorkingPoint]) -> list[dict[str, Any]]:
    """One curve a signal, observable and working point, as plain values.

    {"signal", "observable", "target_khz", "edges", "efficiency", "low", "high", "events"}: the
    68.3 % interval of each bin; null where a bin is empty. Raises ConfigError for an observable that
    the data lacks.
    """
    names = observables(model.config.turn_on, model.test)
    return [
        _curve(model, point, signal, name)
        for name in names
        for signal in model.signals
        for point in points
    ]


def observables(named: Sequence[str] | None, test: Dataset) -> list[str]:
    """The observables to draw against; those in GeV where none is named.

    Raises ConfigError, with the nearest name, for one that the data lacks.
    """
    if named is None:
        return [n for n in test.observables if _IN_GEV & set(n.lower().split("_"))]
    for name in named:
        require_observable(name, test, "trigger.turn_on")
    return list(named)


def require_observable(name: str, test: Dataset, where: str) -> None:
    """Raises ConfigError if the data has no observable of that name."""
    if name not in test.observables:
        hint = did_you_mean(name, test.observables)
        raise ConfigError(f"{where}: no observable {name!r} in the data; {hint}")


def _curve(model: Scored, point: WorkingPoint, signal: str, name: str) -> dict[str, Any]:
    kept = model.chosen([signal])
    values = np.asarray(model.test.observables[name], np.float64)[kept]
    passed = model.score[kept] >= point.threshold.value
    weight = model.test.weight[kept]
    low, high = np.percentile(values, _TAILS)
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    place = np.digitize(values, edges) - 1
    bins = [_bin(passed[place == i], weight[place == i], model) for i in range(_BINS)]
    return {
        "signal": signal,
        "observable": name,
        "target_khz": point.target_khz,
        "edges": edges.tolist(),
        "efficiency": [b[0] for b in bins],
        "low": [b[1] for b in bins],
        "high": [b[2] for b in bins],
        "events": [int((place == i).sum()) for i in range(_BINS)],
    }


def _bin(passed: Any, weight: Any, model: Scored) -> tuple[float | None, ...]:
    if not weight.sum() > 0:
        return None, None, None
    tally = Tally.of(passed, weight)
    low, high = interval(tally, ONE_SIGMA, model.config.interval)
    return float(tally.fraction), float(low), float(high)
