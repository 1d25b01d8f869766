"""Rates of a menu: each seed's own, the pure ones, what two seeds have in common, and what a score
trigger adds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from triggerforge.trigger.curve import Rate, rate_of
from triggerforge.trigger.efficiency import efficiency, paired
from triggerforge.trigger.intervals import ONE_SIGMA, Array, Tally, interval
from triggerforge.trigger.menu import Mask
from triggerforge.trigger.score import Scored
from triggerforge.trigger.working import WorkingPoint


def menu_record(
    model: Scored, points: Sequence[WorkingPoint], seeds: Mapping[str, Mask]
) -> dict[str, Any]:
    """Rates [kHz], pure rates, overlaps and efficiencies, as plain values.

    `points`: the model's working points; `seeds`: decisions (M,) of the cut triggers on its events.
    The pure rate of a seed is of events that no other seed takes; that of a working point of events
    that no seed takes.
    """
    scores = {f"score at {p.target_khz:g} kHz": model.score >= p.threshold.value for p in points}
    total = _any(seeds.values(), len(model.score))
    rows = []
    for name, mask in seeds.items():
        others = _any((m for n, m in seeds.items() if n != name), len(mask))
        rows.append(_row(model, name, mask, others))
    rows.append(_row(model, "menu", total, np.zeros_like(total)))
    for name, mask in scores.items():
        rows.append(_row(model, name, mask, total) | {"gain": _gain(model, mask, total)})
    return {"model": model.model, "rows": rows, "overlap": overlap(model, {**seeds, **scores})}


def pure_rates(
    model: Scored, points: Sequence[WorkingPoint], seeds: Mapping[str, Mask]
) -> dict[tuple[str, float], dict[str, Any]]:
    """The rate that each working point adds to the seeds, by model and target rate [kHz]."""
    total = _any(seeds.values(), len(model.score))
    return {
        (model.model, p.target_khz): _plain(
            mask_rate(model, (model.score >= p.threshold.value) & ~total)
        )
        for p in points
    }


def overlap(model: Scored, masks: Mapping[str, Mask]) -> dict[str, Any]:
    """{"names", "fraction", "low", "high"}: part of the background that passes row i which also
    passes column j, with its 68.3 % interval; null where no event passes row i."""
    kept = model.background
    weight = model.test.weight[kept].astype(np.float64)
    chosen = {name: mask[kept] for name, mask in masks.items()}
    cells = [
        [_part(column[row], weight[row], model) for column in chosen.values()]
        for row in chosen.values()
    ]
    parts = {
        key: [[cell[i] for cell in line] for line in cells]
        for i, key in enumerate(("fraction", "low", "high"))
    }
    return {"names": list(chosen), **parts}


def mask_rate(model: Scored, mask: Mask) -> Rate:
    """The background rate of a decision (M,)."""
    kept = model.background
    tally = Tally.of(mask[kept], model.test.weight[kept])
    return rate_of(tally, int(mask[kept].sum()), model.curve.total_khz, model.config.interval)


def _part(passed: Mask, weight: Array, model: Scored) -> tuple[float | None, ...]:
    if not weight.sum() > 0:
        return None, None, None
    tally = Tally.of(passed, weight)
    low, high = interval(tally, ONE_SIGMA, model.config.interval)
    return float(tally.fraction), float(low), float(high)


def _row(model: Scored, name: str, mask: Mask, others: Mask) -> dict[str, Any]:
    found = {}
    for signal in model.signals:
        kept = model.chosen([signal])
        weight = model.test.weight[kept]
        found[signal] = efficiency(mask[kept], weight, f"signal {signal!r}", model.config.interval)
    return {
        "name": name,
        "rate_khz": _plain(mask_rate(model, mask)),
        "pure_rate_khz": _plain(mask_rate(model, mask & ~others)),
        "efficiency": {n: e.value for n, e in found.items()},
        "efficiency_err": {n: e.err for n, e in found.items()},
    }


def _gain(model: Scored, mask: Mask, total: Mask) -> dict[str, dict[str, float]]:
    """By signal, how much more of it the menu takes together with the score trigger."""
    gains = {}
    for signal in model.signals:
        kept = model.chosen([signal])
        gains[signal] = asdict(paired((mask | total)[kept], total[kept], model.test.weight[kept]))
    return gains


def _plain(rate: Rate) -> dict[str, Any]:
    return {
        "value": rate.khz,
        "err": rate.err,
        "interval": [rate.low, rate.high],
        "events": rate.events,
        "upper_limits": rate.limits,
    }


def _any(masks: Iterable[Mask], events: int) -> Mask:
    return np.asarray(np.logical_or.reduce([np.zeros(events, np.bool_), *masks]))
