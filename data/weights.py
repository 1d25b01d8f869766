"""Event weights that may be negative, as those of next-to-leading-order samples are: one rule.

Where events are counted (yields, rates, efficiencies, every metric) a weight counts with its sign, and
as w² in the error: only then is a sum the cross-section's. The estimate of what cannot leave a range
is brought back to its nearest place in it, which is never further from the truth: a part lies between
none and all (`share`), and what passes a looser cut is no less than what passes a tighter one
(`rising`).

Where something is fitted (losses, means, quantiles) weights are magnitudes, scaled so that each class
keeps its signed sum (`magnitudes`): a loss with negative weights has no lower bound. Where the share of
negative weights does not depend on the inputs both have the same minimum. That the mean weight of any
region is positive is what makes either possible (Andersen, Gütschow, Maier and Prestel, arXiv
2005.09375; Nachman and Thaler, arXiv 2007.11586).

Without negative weights every function here gives what it always was, bit for bit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from triggerforge.errors import DataError

Array = NDArray[np.float64]


def effective(weight: NDArray[Any]) -> float:
    """(Σ w)² / Σ w²: the number of unweighted events (N,) with the same relative error."""
    w = np.asarray(weight, np.float64)
    return float(w.sum() ** 2 / (w**2).sum())


def share(part: Any, whole: Any) -> Array:
    """part / whole, held between 0 and 1; `whole` is positive."""
    return np.asarray(np.clip(np.asarray(part, np.float64) / whole, 0.0, 1.0))


def rising(sums: NDArray[Any]) -> Array:
    """Sums of the weights that pass ever looser cuts (N,), the first 0, the last of all events.

    Where they fall, the nearest ones that do not, between the first and the last: the isotonic
    regression of Barlow, Bartholomew, Bremner and Brunk (Statistical Inference under Order
    Restrictions, 1972), a projection onto curves among which the true one is.
    """
    s = np.asarray(sums, np.float64)
    if not (np.diff(s) < 0).any():
        return s
    return np.clip(np.asarray(isotonic_regression(s).x, np.float64), s[0], s[-1])


def magnitudes(
    weight: NDArray[Any], y: NDArray[Any], classes: Sequence[str], what: str
) -> NDArray[Any]:
    """|w| of events (N,) with labels (N,), scaled so that every class keeps the sum of its weights.

    Raises DataError where the weights of a class that is there do not sum to more than 0; `what`
    names the events.
    """
    require_positive_sums(weight, y, classes, what)
    if not (weight < 0).any():
        return weight
    sums, sizes = (np.bincount(y, w, minlength=len(classes)) for w in (weight, np.abs(weight)))
    scale = sums / np.where(sizes > 0, sizes, 1.0)
    return np.asarray(np.abs(weight) * scale[y], weight.dtype)


def require_positive_sums(
    weight: NDArray[Any], y: NDArray[Any], classes: Sequence[str], what: str
) -> None:
    """Raises DataError, with the class, where weights (N,) of one that is there sum to 0 or less."""
    count = np.bincount(y, minlength=len(classes))
    sums = np.bincount(y, weight, minlength=len(classes))
    for name, number, total in zip(classes, count, sums, strict=True):
        if number and not total > 0:
            raise DataError(
                f"the weights of the {number} {what} events of class {name!r} sum to {total:g}; they "
                "must sum to more than 0: use more events, mend data.weights, or leave the class out "
                "of data.classes"
            )
