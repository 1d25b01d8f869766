"""The working-point record: what whoever writes a trigger menu needs, with what it rests on."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from triggerforge.errors import ConfigError
from triggerforge.runfolder import write_atomic, write_json
from triggerforge.trigger.curve import REVOLUTION_KHZ
from triggerforge.trigger.score import Scored
from triggerforge.trigger.working import WorkingPoint

HANDOVER_VERSION = 1
HANDOVER_FILE = "working_points.json"


def handover(
    models: Iterable[Scored],
    points: Iterable[WorkingPoint],
    identity: Mapping[str, Any],
    pure: Mapping[tuple[str, float], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The record, as plain values. A seed of a menu is one entry of "working_points".

    `identity`: what the sample is beyond the test events, such as its files. `pure`: pure rate
    {"khz", "err"} by model and target rate [kHz], where there is a menu.
    """
    by_name = {model.model: model for model in models}
    entries = []
    for point in points:
        model = by_name[point.model]
        entry = _entry(point, model)
        extra = (pure or {}).get((point.model, point.target_khz))
        entries.append(entry | ({"pure_rate_khz": dict(extra)} if extra else {}))
    any_model = next(iter(by_name.values()), None)
    return {
        "version": HANDOVER_VERSION,
        "unit": "kHz",
        "rate": "revolution_khz x colliding_bunches x accepted fraction of the background",
        "revolution_khz": REVOLUTION_KHZ,
        "colliding_bunches": any_model.config.colliding_bunches if any_model else None,
        "sample": dict(identity),
        "working_points": entries,
    }


def write_handover(record: Mapping[str, Any], path: Path) -> None:
    """Writes the record as JSON or YAML, by the ending of `path`, whole or not at all.

    Raises ConfigError for another ending.
    """
    if path.suffix == ".json":
        write_json(path, record)
    elif path.suffix in (".yaml", ".yml"):
        write_atomic(path, yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True))
    else:
        raise ConfigError(f"{path}: a working point is written to *.json or *.yaml; rename it")


def sample_digest(model: Scored) -> str:
    """SHA-256 over inputs, labels and weights of the model's test events: the sample's identity."""
    digest = hashlib.sha256()
    for array in (model.test.x, model.test.y, model.test.weight):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _entry(point: WorkingPoint, model: Scored) -> dict[str, Any]:
    rate, config = point.threshold.rate, model.config
    background = model.background
    return {
        "model": point.model,
        "target_rate_khz": point.target_khz,
        "accept": "score >= threshold",
        "score": {"output": config.score.output, "minus": config.score.minus},
        "format": None if model.grid is None else str(model.grid),
        "lsb": None if model.grid is None else model.grid.lsb,
        "threshold": point.threshold.value,
        "threshold_interval": [point.threshold.low, point.threshold.high],
        "threshold_lsb": point.lsb,
        "prescale": 1,
        "rate_khz": {"value": rate.khz, "err": rate.err, "interval": [rate.low, rate.high]},
        "confidence_level": 0.683,
        "interval_method": config.interval,
        "efficiency": {
            name: {"value": e.value, "err": e.err, "interval": [e.low, e.high]}
            for name, e in point.efficiency.items()
        },
        "background": {
            "classes": list(config.background),
            "events": int(background.sum()),
            "sum_of_weights": float(model.test.weight[background].sum(dtype=np.float64)),
            "passing_events": rate.events,
            "effective_passing_events": rate.effective,
        },
    }
