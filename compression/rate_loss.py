"""Learning a score by the rate that it stands for: a tenth of the rate off is as bad anywhere."""

from dataclasses import dataclass
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from triggerforge.compression.functional import Events
from triggerforge.compression.overlap import supported_fractions
from triggerforge.errors import ModelError

_FEWEST = 4
_BIN = 0.5


@dataclass(frozen=True)
class RateLoss:
    """The distance to the float model's score, both in decades of rate.

    g(s) = −log10 of the part of the ordinary events with a score above s: linear between `scores`,
    where it is `decades`, and beyond them with the slope at the end. `scores` begin where a tenth passes:
    below, where no threshold will be, the rate falls so steeply with a score such as Σμ² that training
    would follow nothing else. The loss is |g(s) − g(t)| with the corner rounded off (Huber's, width
    0.1), t the float model's score.
    """

    scores: NDArray[np.float64]
    decades: NDArray[np.float64]

    @classmethod
    def of(cls, score: NDArray[np.floating[Any]], weight: NDArray[np.floating[Any]]) -> Self:
        """From the float model's scores and the weights (N,) of ordinary events.

        Raises ModelError if the score is a constant, or the events are too few.
        """
        w = np.asarray(weight, np.float64)
        fractions = supported_fractions(score, w)[::-1]
        order = np.argsort(-np.asarray(score, np.float64), kind="stable")
        passed = np.cumsum(w[order]) / w.sum()
        last = len(passed) - 1
        at = np.minimum(np.searchsorted(passed, fractions), last)
        found = np.asarray(score, np.float64)[order][at]
        rising = np.concatenate([[True], np.diff(np.maximum.accumulate(found)) > 0])
        if rising.sum() < _FEWEST:
            raise ModelError(
                f"the float model's score takes {int(rising.sum())} values at {len(found)} rates from "
                f"{fractions[0]:g} to {fractions[-1]:.1e} of the ordinary events; train it longer, or choose "
                "another model"
            )
        return cls(found[rising], -np.log10(fractions[rising]))

    def __call__(self, outputs: Array, events: Events) -> Array:
        """Mean over the events of outputs (N, 1)."""
        apart = jnp.abs(self._of(outputs[:, 0]) - self._of(events.teacher[:, 0]))
        rounded = jnp.where(apart < 0.1, 5 * apart**2, apart - 0.05)
        return jnp.mean(rounded * events.weight)

    def weights(self, score: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Weights (N,) in the loss: those of half a decade weigh the root of their number together.

        Between the events' own weights, with which the tail would not count, and an equal share for
        each decade, with which a handful of events would be most of the loss.
        """
        bins = np.floor(np.asarray(self._of(jnp.asarray(score))) / _BIN).astype(np.int64)
        _, place, count = np.unique(bins, return_inverse=True, return_counts=True)
        return (1 / np.sqrt(count[place])).astype(np.float32)

    def _of(self, score: Array) -> Array:
        """Decades of rate (N,) of scores (N,)."""
        s, g = jnp.asarray(self.scores, jnp.float32), jnp.asarray(self.decades, jnp.float32)
        first, last = (g[1] - g[0]) / (s[1] - s[0]), (g[-1] - g[-2]) / (s[-1] - s[-2])
        inside = jnp.interp(score, s, g)
        return inside + first * jnp.minimum(score - s[0], 0) + last * jnp.maximum(score - s[-1], 0)
