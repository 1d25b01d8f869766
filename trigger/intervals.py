"""Confidence intervals for the part of the events that passes, unweighted and weighted.

Unweighted: the binomial interval of Clopper and Pearson (Biometrika 26 (1934) 404), and Lancaster's
mid-P form of it, which Cousins, Hymes and Tucker (NIM A 612 (2010) 388, arXiv:0905.3831) recommend
since it covers what it says on average, where Clopper-Pearson covers at least that for every p.

Weighted: Clopper-Pearson's upper end is the quantile of a beta distribution with the moments of the
sample and one more event that passes; its lower end is that with one more event that fails. Here
that event has the heaviest weight, and the beta distribution the mean and the variance of the
weighted fraction. With equal weights this is Clopper-Pearson; where few of many events pass it is
the gamma interval of Fay and Feuer (Statistics in Medicine 16 (1997) 791), which does not
under-cover in any of their simulations, and its mid-P form is that of Fay and Kim (Biometrical
Journal 59 (2017) 377). The usual scaled Poisson interval (Bohm and Zech, NIM A 748 (2014) 1,
arXiv:1309.1287) lacks the heaviest event and under-covers where one heavy event changes the sum.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

Array = NDArray[np.float64]
Method = Literal["mid-p", "clopper-pearson"]
ONE_SIGMA = 0.682689492137086
"""the part of a normal distribution within one standard deviation"""
_BISECTIONS = 45


@dataclass(frozen=True)
class Tally:
    """Sums over the events that pass and fail, each a number or an array of any one shape."""

    passed: Array
    """sum of the weights of those that pass"""
    passed_squares: Array
    """sum of their squares"""
    failed: Array
    failed_squares: Array
    heaviest: Array
    """the heaviest weight that an event near the cut may have"""

    @classmethod
    def of(cls, accepted: NDArray[np.bool_], weight: NDArray[Any]) -> "Tally":
        """The sums for events (N,) with weights (N,), which sum to more than 0."""
        w = np.asarray(weight, np.float64)
        passed, failed = w[accepted].sum(), w[~accepted].sum()
        return cls(
            # negative weights may leave less than none, or more than all
            passed=np.clip(passed, 0.0, max(passed + failed, 0.0)),
            passed_squares=(w[accepted] ** 2).sum(),
            failed=np.clip(failed, 0.0, max(passed + failed, 0.0)),
            failed_squares=(w[~accepted] ** 2).sum(),
            heaviest=np.abs(w).max(initial=0.0),
        )

    @property
    def fraction(self) -> Array:
        """The part of the weight that passes."""
        return self.passed / (self.passed + self.failed)

    @property
    def error(self) -> Array:
        """Its standard error, sqrt((1-f)² Σ_pass w² + f² Σ_fail w²) / Σ w.

        For weights of 1 that is the binomial sqrt(f (1-f) / N); for small f, sqrt(Σ_pass w²) / Σ w.
        """
        return np.sqrt(self._variance)

    @property
    def effective(self) -> Array:
        """The number of unweighted events with the same relative error: (Σ w)² / Σ w² over the
        events that pass."""
        return self.passed**2 / np.where(self.passed > 0, self.passed_squares, 1.0)

    @property
    def with_one_more(self) -> "Tally":
        """The sums with one further event of the heaviest weight that passes."""
        return Tally(
            self.passed + self.heaviest,
            self.passed_squares + self.heaviest**2,
            self.failed,
            self.failed_squares,
            self.heaviest,
        )

    @property
    def with_one_less(self) -> "Tally":
        """The sums with one further event of the heaviest weight that fails."""
        return Tally(
            self.passed,
            self.passed_squares,
            self.failed + self.heaviest,
            self.failed_squares + self.heaviest**2,
            self.heaviest,
        )

    @property
    def _variance(self) -> Array:
        f = self.fraction
        sums = (1 - f) ** 2 * self.passed_squares + f**2 * self.failed_squares
        return np.asarray(sums / (self.passed + self.failed) ** 2)

    @property
    def beta(self) -> tuple[Array, Array]:
        """Parameters of the beta distribution: the effective numbers of events that pass and fail."""
        f, variance = self.fraction, self._variance
        events = f * (1 - f) / np.where(variance > 0, variance, 1.0)
        return f * events, (1 - f) * events


def interval(
    tally: Tally, level: float = ONE_SIGMA, method: Method = "mid-p"
) -> tuple[Array, Array]:
    """The central interval of confidence `level` for the fraction: both ends, shaped as the tally."""
    tail = (1 - level) / 2
    lower, upper = tally.with_one_less.beta, tally.with_one_more.beta
    if method == "clopper-pearson":
        low, high = _quantile(lower, tail), _quantile(upper, 1 - tail)
    else:
        low, high = _mixed(lower, upper, tail), _mixed(lower, upper, 1 - tail)
    none, all_ = tally.passed <= 0, tally.failed <= 0
    return np.where(none, 0.0, low), np.where(all_, 1.0, high)


def belief(tally: Tally, fraction: float, method: Method = "mid-p") -> tuple[Array, Array]:
    """The confidence with which the true fraction is below `fraction`: what the lower end of an
    interval goes by, and what the upper end does. `fraction` is below the interval's lower end where
    the first is less than (1 - level)/2, above its upper end where the second is more than the rest.
    """
    lower = _cdf(tally.with_one_less.beta, np.asarray(fraction))
    upper = _cdf(tally.with_one_more.beta, np.asarray(fraction))
    if method == "clopper-pearson":
        return lower, upper
    return (lower + upper) / 2, (lower + upper) / 2


def upper_limit(tally: Tally, level: float) -> Array:
    """The classical one-sided upper limit on the fraction at confidence `level`.

    Without weights and where none of N passes, 1 - (1 - level)^(1/N): 3.0/N at 95 %.
    """
    return np.where(tally.failed <= 0, 1.0, _quantile(tally.with_one_more.beta, level))


def _quantile(beta: tuple[Array, Array], q: float) -> Array:
    a, b = beta
    found = betaincinv(np.where(a > 0, a, 1.0), np.where(b > 0, b, 1.0), q)
    return np.where(a <= 0, 0.0, np.where(b <= 0, 1.0, found))


def _mixed(lower: tuple[Array, Array], upper: tuple[Array, Array], q: float) -> Array:
    """The quantile of one half of each of the two distributions, by bisection between theirs."""
    left, right = _quantile(lower, q), _quantile(upper, q)
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        below = (_cdf(lower, middle) + _cdf(upper, middle)) / 2 < q
        left, right = np.where(below, middle, left), np.where(below, right, middle)
    return (left + right) / 2


def _cdf(beta: tuple[Array, Array], x: Array) -> Array:
    a, b = beta
    found = betainc(np.where(a > 0, a, 1.0), np.where(b > 0, b, 1.0), x)
    # all the probability stands at 0 where nothing passes, at 1 where nothing fails
    return np.where(a <= 0, 1.0, np.where(b <= 0, np.where(x < 1, 0.0, 1.0), found))
