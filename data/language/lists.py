"""Reductions over the list of each event: flat numbers (m,), lengths (n,), one result an event.

A Refusal raised here counts events, not elements.
"""

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.language.arithmetic import (
    HIGHEST,
    Numbers,
    as_float,
    as_integer,
    is_float,
    truth,
    within,
)
from triggerforge.data.language.refusals import Refusal

Counts = NDArray[np.int64]


def starts(counts: Counts) -> Counts:
    """Index of the first element of each list in the flat array."""
    return np.cumsum(counts) - counts


def event_of(counts: Counts) -> NDArray[np.int64]:
    """(m,) number of the event that each element is in."""
    return np.repeat(np.arange(len(counts)), counts)


def total(flat: Numbers, counts: Counts) -> Numbers:
    """Sums, 0 for an empty list: whole numbers exact, floats added from left to right."""
    if is_float(flat):
        sums = np.bincount(event_of(counts), weights=flat, minlength=len(counts))
        return np.asarray(sums, np.float64)  # numpy makes integers of no weights at all
    flat = as_integer(flat)
    largest = max(abs(int(flat.min())), abs(int(flat.max()))) if flat.size else 0
    if flat.dtype == object or largest * int(counts.max(initial=0)) > HIGHEST:
        ends = np.cumsum(counts)
        pieces = zip(starts(counts), ends, strict=True)
        exact = np.empty(len(counts), object)
        exact[:] = [sum(map(int, flat[a:b])) for a, b in pieces]
        return within(exact)
    running = np.concatenate([[0], np.cumsum(flat)])  # may wrap, and the difference wraps back
    ends = np.cumsum(counts)
    return np.asarray(running[ends] - running[ends - counts])


def length(flat: Numbers, counts: Counts) -> Numbers:
    """Number of elements."""
    return counts


def some(flat: Numbers, counts: Counts) -> Numbers:
    """Whether an element is true."""
    return np.asarray(_true(flat, counts) > 0)


def every(flat: Numbers, counts: Counts) -> Numbers:
    """Whether all elements are true; so for an empty list."""
    return np.asarray(_true(flat, counts) == counts)


def _true(flat: Numbers, counts: Counts) -> Numbers:
    return np.bincount(event_of(counts)[truth(flat)], minlength=len(counts))


def least(flat: Numbers, counts: Counts) -> Numbers:
    """The smallest element as a float, NaN for an empty list or if one is NaN; a zero is +0."""
    return _extreme(np.minimum, flat, counts)


def greatest(flat: Numbers, counts: Counts) -> Numbers:
    """The largest element as a float, NaN for an empty list or if one is NaN; a zero is +0."""
    return _extreme(np.maximum, flat, counts)


def _extreme(ufunc: np.ufunc, flat: Numbers, counts: Counts) -> Numbers:
    first = starts(counts)[counts > 0]
    flat = as_integer(flat)
    found = ufunc.reduceat(flat, first) if first.size else flat[:0]
    return _or_nan(found, counts) + 0.0


def leading(flat: Numbers, counts: Counts) -> Numbers:
    """The first element as a float, NaN for an empty list."""
    return _or_nan(as_integer(flat)[starts(counts)[counts > 0]], counts)


def _or_nan(found: Numbers, counts: Counts) -> Numbers:
    """`found`, one for each list that is not empty, as floats; NaN for the others."""
    filled = np.flatnonzero(counts)
    result = np.full(len(counts), np.nan)
    try:
        result[filled] = as_float(found)
    except Refusal as refusal:
        assert refusal.index is not None
        raise Refusal(refusal.reason, str(refusal), int(filled[refusal.index])) from None
    return result
