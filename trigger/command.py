"""What `triggerforge rates` prints: one line a model and target rate."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from triggerforge.errors import ArtifactError, ConfigError, RateError
from triggerforge.runfolder import read_json
from triggerforge.trigger.curve import Rate
from triggerforge.trigger.efficiency import Efficiency
from triggerforge.trigger.grid import to_lsb
from triggerforge.trigger.handover import HANDOVER_FILE, handover, write_handover
from triggerforge.trigger.material import read_run
from triggerforge.trigger.score import Scored
from triggerforge.trigger.working import Points, rate_at, working_points

_UNITS = {"hz": 1e-3, "khz": 1.0, "mhz": 1e3}
_RATE = re.compile(r"\s*([0-9.eE+-]+)\s*([A-Za-z]*)\s*")


def parse_rate(text: str) -> float:
    """A rate in kHz out of "1kHz", "500 Hz", "0.5" (kHz).

    Raises ConfigError if it is no number with such a unit.
    """
    match = _RATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        return float(match[1]) * _UNITS[match[2].lower() or "khz"]
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"--target {text!r} is no rate; write a number and Hz, kHz or MHz, such as 1kHz"
        ) from error


def rates_text(
    run: Path, targets: Sequence[str], threshold: float | None, output: Path | None
) -> str:
    """The table for a run's folder whose stage `trigger` is there.

    `targets`: rates with units; none: those of the configuration. `threshold`: the rate of this cut
    instead. `output`: where the hand-over record of the working points goes. Raises RateError if a
    rate was asked for that the sample does not support.
    """
    models = read_run(run)
    if threshold is not None:
        if targets or output:
            raise ConfigError("--threshold goes without --target and --output; leave them out")
        return "\n".join(_rate_line(model, threshold) for model in models)
    wanted = [parse_rate(t) for t in targets]
    points = working_points(models, wanted or models[0].config.target_rates)
    lines = [_header(models[0])]
    for p in points.found:
        lines.append(_line(p.model, p.target_khz, p.threshold.rate, p.efficiency))
        lsb = "" if p.lsb is None else f" = {p.lsb} LSB"
        lines[-1] += f"  threshold {p.threshold.value:.6g}{lsb}"
    text = "\n".join([*lines, *_refusals(points, asked=bool(wanted))])
    if output is not None:
        write_handover(handover(models, points.found, _identity(run)), output)
    return text


def _refusals(points: Points, asked: bool) -> list[str]:
    """Lines on what was refused; an error where the rate was asked for and no model has it."""
    if asked and points.refused and not points.found:
        raise RateError("; ".join(f"{what}: {why}" for what, why in points.refusals))
    return [f"refused: {what}: {why}" for what, why in points.refusals]


def _identity(run: Path) -> dict[str, object]:
    sample = read_json(run / "trigger" / HANDOVER_FILE).get("sample")
    if not isinstance(sample, dict):
        raise ArtifactError(f"{run / 'trigger' / HANDOVER_FILE} names no sample; run again")
    return sample


def _header(model: Scored) -> str:
    config = model.config
    return (
        f"{model.curve.total_khz:.0f} kHz of crossings ({config.colliding_bunches} bunches); "
        f"background {', '.join(config.background)}; errors: 68.3 %, {config.interval}"
    )


def _line(
    model: str, target: float | None, rate: Rate, efficiency: Mapping[str, Efficiency]
) -> str:
    wanted = "" if target is None else f"{target:g} kHz: "
    return f"{model:9s}  {wanted}{_rate(rate)}  {_efficiencies(efficiency)}"


def _rate_line(model: Scored, threshold: float) -> str:
    rate, found = rate_at(model, threshold)
    lsb = "" if model.grid is None else f" = {to_lsb(threshold, model.grid)} LSB"
    return f"{_line(model.model, None, rate, found)}  threshold {threshold:.6g}{lsb}"


def _rate(rate: Rate) -> str:
    if rate.err is None:
        return f"rate < {rate.limits['0.95']:.3g} kHz (95 % CL; none passes)"
    return f"rate {rate.khz:.4g} +- {rate.err:.2g} kHz [{rate.low:.4g}, {rate.high:.4g}]"


def _efficiencies(found: Mapping[str, Efficiency]) -> str:
    return "  ".join(f"{n} {100 * e.value:.3g} +- {100 * e.err:.2g} %" for n, e in found.items())
