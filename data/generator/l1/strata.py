"""Crossings parted by their hardest collision: probabilities, numbers of collisions, weights.

A crossing has a Poisson number of inelastic collisions of mean mu. Each is of stratum k with
probability f_k = sigma_k / sigma, so that the numbers n_k are independent Poisson numbers of means
mu f_k. A crossing belongs to the last stratum h with n_h > 0, or to the soft one (number 0) if there
is no other. These parts are exclusive and exhaust all crossings:

    P(h) = (1 - exp(-mu f_h)) exp(-mu sum_{k > h} f_k) for h > 0,  P(0) = exp(-mu sum_{k > 0} f_k).

N_h crossings simulated in part h carry the weight N P(h) / N_h, and so sum to the N crossings that
they stand for. Nothing is counted twice, and crossings with several hard collisions are there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Strata:
    """Means mu f_k (K,) of the strata, from soft to rare."""

    means: NDArray[np.float64]

    @classmethod
    def from_cross_sections(cls, sigma: NDArray[np.float64], pileup: float) -> "Strata":
        """From cross-sections (K,), any unit, and the mean number of inelastic collisions."""
        return cls(pileup * sigma / sigma.sum())

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(K,): the part of all crossings that belongs to each stratum; sums to 1."""
        beyond = np.concatenate([np.cumsum(self.means[::-1])[::-1][1:], [0.0]])
        own = -np.expm1(-self.means)
        own[0] = 1.0  # with or without a soft collision
        result: NDArray[np.float64] = own * np.exp(-beyond)
        return result

    def weights(self, events: NDArray[np.int64]) -> NDArray[np.float64]:
        """(K,): weight of a crossing of each stratum, `events` (K,) of which are simulated.

        Crossings of the soft stratum weigh 1.
        """
        probabilities = self.probabilities
        result: NDArray[np.float64] = probabilities * (events[0] / probabilities[0]) / events
        return result

    def draw(self, part: int, events: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(events, K): numbers of collisions in crossings that belong to stratum `part`."""
        numbers = rng.poisson(self.means, (events, len(self.means)))
        numbers[:, part + 1 :] = 0
        if part > 0:
            numbers[:, part] = _at_least_one(float(self.means[part]), events, rng)
        return numbers

    def draw_any(self, events: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(events, K): numbers of collisions in any crossings, such as those beside a signal."""
        return rng.poisson(self.means, (events, len(self.means)))


def _at_least_one(mean: float, events: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(events,): Poisson numbers given that they are not 0.

    The first arrival of a unit-rate process before `mean`, and then a free Poisson number for the
    time that is left: exact, also for tiny means.
    """
    first = -np.log1p(rng.random(events) * np.expm1(-mean))
    numbers: NDArray[np.int64] = 1 + rng.poisson(np.maximum(mean - first, 0.0))
    return numbers
