"""The threshold for a target rate, how well it is known, and the smallest rate that can be asked for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from triggerforge.errors import RateError
from triggerforge.trigger.curve import Rate, RateCurve
from triggerforge.trigger.intervals import ONE_SIGMA, belief

_ROUNDING = 1 + 1e-12


@dataclass(frozen=True)
class Threshold:
    """A cut score >= `value`, and what it accepts."""

    value: float
    low: float
    high: float | None
    """the threshold at which the true rate is the target lies between `low` and `high` at 68.3 %;
    None where even the highest background score may be too low"""
    rate: Rate


def smallest_rate(curve: RateCurve, min_events: float) -> float:
    """The smallest rate [kHz] that the sample supports.

    That is the lowest at which, and above which, at least `min_events` effective events pass. One
    event of the heaviest weight nearby is counted as well, since it could have passed: one heavy
    event among light ones makes the rate as uncertain as itself. For weights of 1 the rate is
    min_events / N of the crossings. Raises RateError if no threshold accepts that many.
    """
    found = _first_supported(curve, min_events)
    if found is None:
        raise RateError(
            f"the background sample counts as fewer than {min_events:g} effective events in all "
            f"({len(curve)} events); no rate can be quoted: use more background"
        )
    return float(curve.step_rates[found])


def threshold_for(curve: RateCurve, target_khz: float, min_events: float) -> Threshold:
    """The lowest score of the background at which the rate does not exceed `target_khz`.

    For firmware's scores it is on their grid, being one of them. Raises RateError if the target is
    no positive number, below what the sample supports, or above the rate of bunch crossings.
    """
    if not (np.isfinite(target_khz) and target_khz > 0):
        raise RateError(f"{asked(target_khz)}; allowed are positive numbers")
    if target_khz > curve.total_khz * _ROUNDING:
        raise RateError(
            f"{asked(target_khz)} is above {curve.total_khz:.6g} kHz, the rate of "
            "bunch crossings; ask for less, or set trigger.colliding_bunches"
        )
    smallest = smallest_rate(curve, min_events)
    if target_khz * _ROUNDING < smallest:
        raise RateError(_too_small(curve, target_khz, smallest, min_events))
    rates = curve.step_rates
    step = int(np.searchsorted(rates, target_khz * _ROUNDING, side="right")) - 1
    low, high = threshold_interval(curve, target_khz)
    value = float(curve.scores[curve.steps[step] - 1])
    return Threshold(value, low, high, curve.rate(value))


def asked(target_khz: float) -> str:
    """How a refusal begins: what was asked for."""
    return f"a target rate of {target_khz:g} kHz"


def threshold_interval(
    curve: RateCurve, target_khz: float, level: float = ONE_SIGMA
) -> tuple[float, float | None]:
    """The thresholds at which the central interval of the rate, of confidence `level`, holds the
    target: the interval for the threshold whose true rate is the target, by inversion of the test.

    The upper end is None where even the highest background score may be too low.
    """
    choices = np.concatenate([[0], curve.steps])
    fraction, tail = target_khz / curve.total_khz, (1 - level) / 2

    def reached(i: int) -> bool:
        return bool(belief(curve.tally(int(choices[i])), fraction, curve.method)[1] <= 1 - tail)

    def passed(i: int) -> bool:
        return bool(belief(curve.tally(int(choices[i])), fraction, curve.method)[0] < tail)

    last = len(choices) - 1
    first, beyond = min(_first(reached, last), last), min(_first(passed, last), last)
    high = float(curve.scores[choices[first] - 1]) if first else None
    return float(curve.scores[choices[beyond] - 1]), high


def _first_supported(curve: RateCurve, min_events: float) -> int | None:
    """The first step from which on the sample suffices; None where it never does."""
    enough = curve.tally(curve.steps).with_one_more.effective >= (min_events + 1) / _ROUNDING
    if not enough[-1]:
        return None
    short = np.flatnonzero(~enough)
    return int(short[-1]) + 1 if len(short) else 0


def _too_small(curve: RateCurve, target: float, smallest: float, min_events: float) -> str:
    together = int(curve.steps[0])
    top = ""
    if together > 1 and curve.step_rates[0] > target:
        top = (
            f" ({together} events share the highest score, {curve.scores[0]:g}, which is "
            f"{curve.step_rates[0]:.4g} kHz: the score saturates or is coarse)"
        )
    return (
        f"{asked(target)} is below {smallest:.4g} kHz, the smallest that "
        f"{len(curve)} background events support with {min_events:g} effective events passing{top}; "
        "ask for at least that, or use more background"
    )


def _first(holds: Callable[[int], bool], count: int) -> int:
    """The first of 0..count-1 for which `holds`, which stays true from there; `count` if none."""
    left, right = 0, count
    while left < right:
        middle = (left + right) // 2
        if holds(middle):
            right = middle
        else:
            left = middle + 1
    return left
