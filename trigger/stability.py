"""The drift tables of a run: inputs of training against test, scores of early against late."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.dataset import Dataset, Splits, of_classes
from triggerforge.trigger.drift import Sample, drifts
from triggerforge.trigger.score import Scored
from triggerforge.trigger.slices import slice_numbers
from triggerforge.trigger.turnon import require_observable

_MOST_INPUTS = 256
_MOST_EVENTS = 200_000


def input_drift(splits: Splits, model: Scored) -> dict[str, Any]:
    """{"rows", "left_out"}: each input of the background, training part against test part.

    At most 256 inputs of the first 200,000 events; inputs that do not vary are passed over.
    """
    parts = [_background(part, model) for part in (splits.train, model.test)]
    tables = [part.x.reshape(len(part), -1) for part in parts]
    names = _names(splits)
    pairs: dict[str, tuple[Sample, Sample]] = {}
    for i, name in enumerate(names[:_MOST_INPUTS]):
        columns = [table[:, i] for table in tables]
        if np.ptp(columns[0]) > 0 or np.ptp(columns[1]) > 0:
            pairs[name] = ((columns[0], parts[0].weight), (columns[1], parts[1].weight))
    rows = [asdict(row) for row in drifts(pairs, model.config.drift)]
    return {"rows": rows, "left_out": max(0, len(names) - _MOST_INPUTS)}


def score_drift(model: Scored, observable: str) -> list[dict[str, Any]]:
    """The background's scores in each time slice but the first, against those of the first.

    Raises ConfigError if the data lacks the observable.
    """
    require_observable(observable, model.test, "trigger.time")
    kept = model.background
    score, weight = model.score[kept], model.test.weight[kept]
    times = model.test.observables[observable][kept]
    edges, place = slice_numbers(times, model.config.slices)
    first: Sample = _chosen(score, weight, place == 0)
    pairs = {
        f"{observable} {edges[i]:g} to {edges[i + 1]:g}": (
            first,
            _chosen(score, weight, place == i),
        )
        for i in range(1, int(place.max()) + 1)
    }
    return [asdict(row) for row in drifts(pairs, model.config.drift)]


def _chosen(score: NDArray[Any], weight: NDArray[Any], where: NDArray[np.bool_]) -> Sample:
    return score[where], weight[where]


def _background(part: Dataset, model: Scored) -> Dataset:
    kept = of_classes(part.y, part.classes, model.config.background)
    return part.take(np.flatnonzero(kept)[:_MOST_EVENTS])


def _names(splits: Splits) -> list[str]:
    """A name for each number of an event's input: pt[3] is the pT of the fourth particle."""
    shape, features = splits.contract.shape, splits.contract.names
    if len(shape) == 1:
        return list(features)
    rows = int(np.prod(shape[:-1]))
    return [f"{name}[{row}]" for row in range(rows) for name in features]
