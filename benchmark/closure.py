"""Closure of rates and thresholds: does the truth lie in the quoted interval as often as it says?

    python -m triggerforge.benchmark.closure [--experiments 1000] [--neighbourhood 2]

The score of a bunch crossing falls exponentially, so that the true rate of every threshold is known:
exp(-t) of the crossings, or exponential times Gaussian where the score is smeared. Each
pseudo-experiment draws a sample, and asks the same code as the stage `trigger` for the interval of
the rate at a fixed threshold, and of the threshold for a fixed rate. Cases:

- unweighted: 20 000 events of weight 1, 100 expected to pass;
- weighted: five bins of the true score, about 1 000 events each, with weights as those of pT-hat
  bins: bins of 63 % down to 1.8 % of the crossings have equally many events; the score is smeared,
  so that heavy events leak into the tail;
- signed: 20 000 events of weight ±1, as those of a next-to-leading-order sample: one in five is
  subtracted again, and those have a softer score;
- rare: weight 1, expected numbers from 1 to 10, evenly in the logarithm;
- rare weighted: ten bins of 40 events, weights over four orders of magnitude, three times the
  smearing: one heavy event in the tail can be most of the rate.

Printed: the part of the experiments whose interval holds the truth, with its binomial error, for both
kinds of interval. Ends with status 1 if that of the default one is further from 95 % than 2 %; in the
last case it may be more than that, never less.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import exponnorm

from triggerforge.border import answer
from triggerforge.trigger.curve import NEIGHBOURHOOD, RateCurve
from triggerforge.trigger.intervals import ONE_SIGMA, Array, Method
from triggerforge.trigger.threshold import threshold_interval

LEVELS = (ONE_SIGMA, 0.95)
TOLERANCE = 0.02
METHODS: tuple[Method, ...] = ("mid-p", "clopper-pearson")
_BUNCHES = 2340
_EVENTS = 20_000
_NEGATIVE = 0.2
_RARE_WEIGHTED = "rare weighted"


@dataclass(frozen=True)
class Sample:
    """One pseudo-experiment and the truth."""

    score: Array
    weight: Array
    threshold: float
    fraction: float
    """of the crossings that truly pass `threshold`"""


@dataclass(frozen=True)
class Coverage:
    """Parts of the experiments whose interval holds the truth, by level."""

    rate: dict[float, float]
    threshold: dict[float, float]


def unweighted(rng: np.random.Generator, expected: float = 100.0) -> Sample:
    """Weights of 1, so many expected to pass."""
    fraction = expected / _EVENTS
    score = rng.exponential(size=_EVENTS)
    return Sample(score, np.ones(_EVENTS), -float(np.log(fraction)), fraction)


def rare(rng: np.random.Generator) -> Sample:
    """Weights of 1, one to ten expected to pass."""
    return unweighted(rng, float(np.exp(rng.uniform(0.0, np.log(10.0)))))


def weighted(
    rng: np.random.Generator,
    bins: int = 5,
    events: int = 1000,
    smearing: float = 0.5,
    thresholds: tuple[float, float] = (3.5, 5.0),
) -> Sample:
    """On average `events` in each bin of the true score, smeared; the last bin has no upper edge.

    The numbers of events fluctuate, as those of a part that is split off at random do.
    """
    low, high = np.exp(-np.arange(bins)), np.exp(-np.arange(1.0, bins + 1))
    high[-1] = 0.0
    drawn = rng.integers(bins, size=events * bins)
    true = -np.log(low[drawn] - rng.uniform(size=len(drawn)) * (low - high)[drawn])
    score = true + rng.normal(0.0, smearing, len(true))
    threshold = float(rng.uniform(*thresholds))
    fraction = exponnorm.sf(threshold, 1 / smearing, loc=0.0, scale=smearing)
    return Sample(score, (low - high)[drawn] / events, threshold, float(fraction))


def signed(rng: np.random.Generator) -> Sample:
    """Weights of 1 and -1, the negative ones falling twice as fast; what is left is positive everywhere."""
    negative = rng.random(_EVENTS) < _NEGATIVE
    score = rng.exponential(np.where(negative, 0.5, 1.0))
    t = float(rng.uniform(4.0, 5.5))
    passed = (1 - _NEGATIVE) * np.exp(-t) - _NEGATIVE * np.exp(-2 * t)
    return Sample(score, np.where(negative, -1.0, 1.0), t, float(passed / (1 - 2 * _NEGATIVE)))


def rare_weighted(rng: np.random.Generator) -> Sample:
    """As `weighted`, with few events, more different weights and more smearing."""
    return weighted(rng, bins=10, events=40, smearing=1.5, thresholds=(5.0, 9.0))


CASES: dict[str, Callable[[np.random.Generator], Sample]] = {
    "unweighted": unweighted,
    "weighted": weighted,
    "signed": signed,
    "rare": rare,
    _RARE_WEIGHTED: rare_weighted,
}


def coverage(
    case: str,
    experiments: int,
    method: Method,
    seed: int = 1,
    neighbourhood: float = NEIGHBOURHOOD,
) -> Coverage:
    """Draws so many pseudo-experiments of the case and counts."""
    rng = np.random.default_rng([seed, *case.encode()])
    rate, threshold = dict.fromkeys(LEVELS, 0), dict.fromkeys(LEVELS, 0)
    for _ in range(experiments):
        sample = CASES[case](rng)
        curve = RateCurve(sample.score, sample.weight, _BUNCHES, method, neighbourhood)
        true_khz = curve.total_khz * sample.fraction
        accepted = curve.accepted(sample.threshold)
        for level in LEVELS:
            low, high = curve.band(accepted, level)
            rate[level] += bool(low <= true_khz <= high)
            left, right = threshold_interval(curve, true_khz, level)
            above = right is None or sample.threshold <= right
            threshold[level] += left <= sample.threshold and above
    return Coverage(
        {k: n / experiments for k, n in rate.items()},
        {k: n / experiments for k, n in threshold.items()},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; gives back the exit status."""
    parser = argparse.ArgumentParser(prog="python -m triggerforge.benchmark.closure")
    parser.add_argument("--experiments", type=int, default=1000, help="of each case (1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--neighbourhood",
        type=float,
        default=NEIGHBOURHOOD,
        help="the heaviest weight is looked for among events of so many times the rate",
    )
    options = parser.parse_args(arguments)
    sys.stdout.write(
        f"coverage in {options.experiments} pseudo-experiments [%]\n"
        f"{'case':14s} {'interval':16s}  rate 68.3        rate 95          "
        "threshold 68.3   threshold 95\n"
    )
    good = True
    for case in CASES:
        for method in METHODS:
            sizes = options.experiments, method, options.seed, options.neighbourhood
            found = coverage(case, *sizes)
            cells = [*found.rate.values(), *found.threshold.values()]
            shown = "   ".join(_cell(part, options.experiments) for part in cells)
            sys.stdout.write(f"{case:14s} {method:16s}  {shown}\n")
            sys.stdout.flush()
            if method == METHODS[0]:
                good &= _closes(case, found.rate[0.95])
    verdict = "closes" if good else "does NOT close"
    sys.stdout.write(f"{METHODS[0]} {verdict}: 95 +- 2 % ({_RARE_WEIGHTED}: at least 93 %)\n")
    return 0 if good else 1


def _closes(case: str, part: float) -> bool:
    return part >= 0.95 - TOLERANCE and (case == _RARE_WEIGHTED or part <= 0.95 + TOLERANCE)


def _cell(part: float, experiments: int) -> str:
    error = np.sqrt(part * (1 - part) / experiments)
    return f"{100 * part:5.1f} +- {100 * error:4.1f}"


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.benchmark.closure"))
