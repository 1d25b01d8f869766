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
from triggerforge.trigger.menu import decisions
from triggerforge.trigger.objects import collect
from triggerforge.trigger.overlap import menu_record, pure_rates
from triggerforge.trigger.score import Scored
from triggerforge.trigger.slices import rate_in_slices
from triggerforge.trigger.stability import input_drift, score_drift
from triggerforge.trigger.threshold import smallest_rate
from triggerforge.trigger.turnon import turn_on
from triggerforge.trigger.working import WorkingPoint, working_points


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
    seeds = decisions(config.menu, collect(config.objects, splits.test)) if config.menu else {}
    points = working_points(models, config.target_rates)
    for names, reason in points.refusals:
        say(f"trigger: no working point for {names}: {reason}")
    hardware = models[-1]
    mine = [point for point in points.found if point.model == hardware.model]
    masks = {name: mask[: len(hardware.score)] for name, mask in seeds.items()}
    identity = dict(sample) | {"part": "test", "sha256": sample_digest(models[0])}
    pure = pure_rates(hardware, mine, masks) if masks else {}
    write_handover(handover(models, points.found, identity, pure), folder / HANDOVER_FILE)
    write_setup(folder, config, formats)
    studies = _studies(splits, hardware, mine)
    for alarm in _alarms(studies):
        say(f"trigger: ALARM: {alarm}")
    write_record(
        folder,
        rates=[point.row for point in points.found],
        trigger=_summary(models)
        | ({"menu": menu_record(hardware, mine, masks)} if masks else {})
        | studies
        | {"not_run": dict(points.refused)},
    )


def _summary(models: Sequence[Scored]) -> dict[str, Any]:
    """What the rates stand on, and the curves of every model."""
    config, smallest = models[0].config, {m.model: _smallest(m) for m in models}
    return {
        "background": list(config.background),
        "signals": list(models[0].signals),
        "colliding_bunches": config.colliding_bunches,
        "crossings_khz": models[0].curve.total_khz,
        "interval": config.interval,
        "min_events": config.min_events,
        "background_events": {m.model: len(m.curve) for m in models},
        "smallest_rate_khz": smallest,
        "formats": {m.model: str(m.grid) for m in models if m.grid},
        "curves": {m.model: curve_points(m) for m in models if smallest[m.model] is not None},
    }


def _studies(
    splits: Splits, model: Scored, points: Sequence[WorkingPoint]
) -> dict[str, list[dict[str, Any]] | dict[str, Any]]:
    """Turn-on curves, slices and drift of the model nearest to the hardware."""
    config = model.config
    found: dict[str, list[dict[str, Any]] | dict[str, Any]] = {
        "turn_on": turn_on(model, points),
        "input_drift": input_drift(splits, model),
    }
    if config.pileup is not None:
        found["pileup"] = rate_in_slices(model, points, config.pileup, "trigger.pileup")
    if config.time is not None:
        found["time"] = rate_in_slices(model, points, config.time, "trigger.time")
        found["score_drift"] = score_drift(model, config.time)
    return found


def _alarms(studies: Mapping[str, Any]) -> list[str]:
    """What has changed; a rate that depends on pile-up has not."""
    inputs = [row["name"] for row in studies["input_drift"]["rows"] if row["alarm"]]
    scores = [row["name"] for row in studies.get("score_drift", ()) if row["alarm"]]
    rates = [f"{row['target_khz']:g} kHz" for row in studies.get("time", ()) if row["alarm"]]
    told = {"inputs differ between training and test": inputs, "scores have drifted in": scores}
    told |= {"the rate is not stable in time at": rates}
    return [f"{what}: {', '.join(names)}" for what, names in told.items() if names]


def _smallest(model: Scored) -> float | None:
    try:
        return smallest_rate(model.curve, model.config.min_events)
    except RateError:
        return None
