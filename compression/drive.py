"""Events that drive the quantisers of a network out of their ranges, on purpose.

A fixed-point graph that saturates wrongly agrees with its reference until something saturates: random
bits may never do it. Ends of ranges that random events leave alone are looked for by the sign with
which each input moves each number, then by changing the events that came nearest.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.layer_sites import Site
from triggerforge.data.contract import InputContract

Array = NDArray[Any]
Watch = Callable[[Array], tuple[Array, list[tuple[Site, Array]]]]
"""outputs, and what every quantiser is given, for events (N, *shape)"""
_SEED = 7
_CLIMBS = 1
_MUTANTS = 4
_CHANGED = 0.25  # of an event's inputs, in a mutant
_PULLED = 128  # elements of a tensor whose dependence on the inputs is looked at


@dataclass
class _Tensor:
    """One quantiser's numbers: which ends have been passed, and the events that came nearest."""

    site: Site
    low: Array
    high: Array
    passed: Array
    """(2, elements): below, above"""
    best: Array
    """(2, elements): how far the nearest event was inside; negative is outside"""
    event: Array
    """(2, elements): its number"""
    pull: Array | None = None
    """(inputs, elements): covariance with the inputs, over random events"""


@dataclass(frozen=True)
class Driven:
    """The events that were tried, what the network gave for them, and what they reached."""

    x: Array
    outputs: Array
    ends: int
    """lower and upper ends of the ranges of all quantised numbers"""
    reached: int
    missed: tuple[str, ...]
    """the tensors with an end that no event passed"""

    def to_dict(self) -> dict[str, Any]:
        """For the record."""
        return {
            "events": len(self.x),
            "range_ends": self.ends,
            "driven": self.reached,
            "not_driven_in": list(self.missed),
        }


@dataclass
class _Search:
    watch: Watch
    contract: InputContract
    random: np.random.Generator
    tensors: dict[int, _Tensor] = field(default_factory=dict)
    x: list[Array] = field(default_factory=list)
    outputs: list[Array] = field(default_factory=list)

    def look(self, x: Array) -> None:
        """Runs events, and notes what they pass."""
        first = sum(map(len, self.x))
        outputs, found = self.watch(x)
        self.x.append(x)
        self.outputs.append(outputs)
        for place, (site, values) in enumerate(found):
            self._note(place, site, values.reshape(len(x), -1), first, values.shape[1:], x)

    def _note(
        self, place: int, site: Site, values: Array, first: int, shape: tuple[int, ...], x: Array
    ) -> None:
        if place not in self.tensors:
            self.tensors[place] = _opened(site, values, shape, x)
        tensor = self.tensors[place]
        # in units in which 0 is the last number inside
        inside = np.stack([values - tensor.low, tensor.high - values])
        nearest = inside.argmin(axis=1)
        distance = np.take_along_axis(inside, nearest[:, None], axis=1)[:, 0]
        better = distance < tensor.best
        tensor.best = np.where(better, distance, tensor.best)
        tensor.event = np.where(better, nearest + first, tensor.event)
        tensor.passed |= distance < 0

    def targets(self, count: int) -> Iterator[tuple[_Tensor, int, int]]:
        """Up to `count` ends that nothing has passed, evenly from all tensors."""
        waiting = [np.argwhere(~t.passed) for t in self.tensors.values()]
        order = [self.random.permutation(len(ends)) for ends in waiting]
        for turn in range(count):
            for tensor, ends, by in zip(self.tensors.values(), waiting, order, strict=True):
                if turn < len(by) and count > 0:
                    side, element = ends[by[turn]]
                    yield tensor, int(side), int(element)
                    count -= 1

    def corners(self) -> tuple[Array, Array]:
        low, high = np.array([feature.format.range for feature in self.contract.features]).T
        shape = self.contract.shape
        return np.broadcast_to(low, shape).ravel(), np.broadcast_to(high, shape).ravel()

    def filled(self, events: list[Array], count: int) -> Array:
        """As many events as always: for another number everything would be compiled anew."""
        x = np.stack(events)[:count] if events else np.zeros((0, *self.contract.shape))
        x = np.concatenate([x.reshape(len(x), *self.contract.shape), self.x[0][len(x) : count]])
        return x.astype(np.float32)


def drive(watch: Watch, contract: InputContract, x: Array) -> Driven:
    """The events x (N, *shape) and more of them, with what the network gave for each."""
    search = _Search(watch, contract, np.random.default_rng(_SEED))
    search.look(x)
    for attempt in range(1 + _CLIMBS):
        events = _pulled(search, len(x)) if attempt == 0 else _climbed(search, len(x))
        if not events:
            break
        search.look(search.filled(events, len(x)))
    tensors = search.tensors.values()
    missed = (f"{t.site.layer}: {t.site.tensor}" for t in tensors if not t.passed.all())
    return Driven(
        np.concatenate(search.x),
        np.concatenate(search.outputs),
        ends=sum(t.passed.size for t in tensors),
        reached=sum(int(t.passed.sum()) for t in tensors),
        missed=tuple(missed),
    )


def _opened(site: Site, values: Array, shape: tuple[int, ...], x: Array) -> _Tensor:
    low, high, step = site.bounds(shape)
    size = values.shape[1]
    edge = (step / 2).ravel() * np.ones(size)  # what is rounded to the last number is inside
    flat = x.reshape(len(x), -1)
    pull = (flat - flat.mean(axis=0)).T @ (values - values.mean(axis=0))[:, :_PULLED]
    return _Tensor(
        site,
        low.ravel() * np.ones(size) - edge,
        high.ravel() * np.ones(size) + edge,
        passed=np.zeros((2, size), bool),
        best=np.full((2, size), np.inf),
        event=np.zeros((2, size), int),
        pull=pull,
    )


def _pulled(search: _Search, count: int) -> list[Array]:
    """Every input at the end of its range to which it has to go, if all works as a sum."""
    low, high = search.corners()
    events = []
    for tensor, side, element in search.targets(count):
        if tensor.pull is not None and element < tensor.pull.shape[1]:
            up = (tensor.pull[:, element] > 0) == bool(side)
            events.append(np.where(up, high, low))
    return events


def _climbed(search: _Search, count: int) -> list[Array]:
    """The nearest events so far, with some inputs at one end of their ranges or the other."""
    low, high = search.corners()
    known = np.concatenate(search.x)
    events = []
    for tensor, side, element in search.targets(count // _MUTANTS):
        near = known[tensor.event[side, element]].ravel()
        for _ in range(_MUTANTS):
            ends = np.where(search.random.random(near.size) < 0.5, low, high)
            changed = search.random.random(near.size) < _CHANGED
            events.append(np.where(changed, ends, near))
    return events
