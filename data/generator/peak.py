"""The position of a mass peak, with its statistical error."""

import numpy as np

from triggerforge.data.generator.cards import Array
from triggerforge.errors import DataError

_START_WIDTH = 0.15  # of the half-sample mode
_CORE = 1.0  # half-width of the window in sigma
_CORE_TO_SIGMA = 1.853  # sigma over the standard deviation of a Gaussian cut off at one sigma
_MOST_ROUNDS = 1000
_FEWEST = 50


def mass_peak(mass: Array) -> tuple[float, float]:
    """Peak of `mass` (N,) [GeV] and its error: the mean of the Gaussian core.

    Starts at the half-sample mode (Bickel and Fruehwirth, Comput. Stat. Data Anal. 50 (2006)
    3500) and repeats, until nothing
    moves: mean and width of what lies within one sigma of the mean.
    Raises DataError if fewer than 50 jets are in the core.
    """
    mean = _half_sample_mode(np.sort(mass))
    sigma = _START_WIDTH * mean
    core = mass
    for _ in range(_MOST_ROUNDS):
        core = mass[np.abs(mass - mean) < _CORE * sigma]
        if len(core) < _FEWEST:
            raise DataError(
                f"{len(core)} of {len(mass)} jets lie near a mass of {mean:.1f} GeV; a peak "
                f"needs {_FEWEST}: generate more jets"
            )
        previous, (mean, sigma) = (mean, sigma), (float(core.mean()), _CORE_TO_SIGMA * core.std())
        if previous == (mean, sigma):
            break
    # the mean of a Gaussian cut off at one sigma, taken for its centre, moves this much more
    return mean, float(core.std()) / np.sqrt(len(core)) * _CORE_TO_SIGMA**2


def _half_sample_mode(ordered: Array) -> float:
    while len(ordered) > 3:
        half = (len(ordered) + 1) // 2
        width = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        first = int(width.argmin())
        ordered = ordered[first : first + half]
    return float(ordered.mean())
