"""The stage `trigger`: from scores to rates, working points and their hand-over."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triggerforge.config.trigger import TriggerConfig
from triggerforge.data.dataset import Splits
from triggerforge.errors import RateError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.progress import say
from triggerforge.result import write_record
from triggerforge.trigger.curves import curve_points
from triggerforge.trigger.handover import HANDOVER_FILE, handover, sample_digest, write_handover
from triggerforge.trigger.material import read_scores, write_setup
from triggerforge.trigger.score import Scored
from triggerforge.trigger.threshold import smallest_rate
from triggerforge.trigger.working import working_points


def rates(
    config: TriggerConfig,
    splits: Splits,
    run: Path,
    formats: Sequence[FixedFormat],
    sample: Mapping[str, Any],
    folder: Path,
) -> None:
    """Records rates and trigger; writes the hand-over of the working points.

    `run`: folder with the stages' scores; `formats`: those of the network's outputs in firmware;
    `sample`: what the record says of where the events are from. Target rates that the sample does
    not support are said and recorded with the reason. Raises ConfigError, DataError or ArtifactError
    if classes, weights, scores or a menu cannot be used.
    """
    models = read_scores(config, splits.test, run, formats)
    points = working_points(models, config.target_rates)
    for reason in dict.fromkeys(points.refused.values()):
        names = ", ".join(what for what, why in points.refused.items() if why == reason)
        say(f"trigger: no working point for {names}: {reason}")
    identity = dict(sample) | {"part": "test", "sha256": sample_digest(models[0])}
    write_handover(handover(models, points.found, identity), folder / HANDOVER_FILE)
    write_setup(folder, config, formats)
    write_record(
        folder,
        rates=[point.row for point in points.found],
        trigger={
            "background": list(config.background),
            "signals": list(models[0].signals),
            "colliding_bunches": config.colliding_bunches,
            "crossings_khz": models[0].curve.total_khz,
            "interval": config.interval,
            "background_events": {m.model: len(m.curve) for m in models},
            "smallest_rate_khz": {m.model: _smallest(m) for m in models},
            "formats": {m.model: str(m.grid) for m in models if m.grid},
            "curves": {m.model: curve_points(m) for m in models if _smallest(m) is not None},
            "not_run": dict(points.refused),
        },
    )


def _smallest(model: Scored) -> float | None:
    try:
        return smallest_rate(model.curve, model.config.min_events)
    except RateError:
        return None
