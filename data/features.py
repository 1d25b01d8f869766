"""Network inputs from chunks: a few numbers, a list of constituents, or an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import InputsConfig
from triggerforge.data.expressions import Expression
from triggerforge.data.kinematics import VALID
from triggerforge.data.l1.layout import INPUTS, REGION, REGION_ETA, REGION_PHI, REGIONS

HIGH_LEVEL = (
    "j_zlogz",
    "j_c1_b0_mmdt",
    "j_c1_b1_mmdt",
    "j_c1_b2_mmdt",
    "j_c2_b1_mmdt",
    "j_c2_b2_mmdt",
    "j_d2_b1_mmdt",
    "j_d2_b2_mmdt",
    "j_d2_a1_b1_mmdt",
    "j_d2_a1_b2_mmdt",
    "j_m2_b1_mmdt",
    "j_m2_b2_mmdt",
    "j_n2_b1_mmdt",
    "j_n2_b2_mmdt",
    "j_mass_mmdt",
    "j_multiplicity",
)
"""The 16 features of the hls4ml LHC jet set (Duarte et al., arXiv 1804.06913), in OpenML's order."""

CONSTITUENT = ("pt_rel", "deta", "dphi", VALID)
PIXEL = "pixel"

Columns = Mapping[str, NDArray[Any]]

_PER_EVENT = ("features", "l1_objects", "l1_regions")
"""kinds that are made of one number an event each"""
_FIXED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "image": ((PIXEL,), ()),
    "l1_objects": (INPUTS, INPUTS),
    "l1_regions": ((REGION,), REGIONS),
}
"""kind -> names of the features, and the columns that they are made of"""
_ORDERS = {
    "image": "eta, then phi, rising",
    "l1_objects": "MET, 4 e/gamma, 4 mu, 10 jets, each pT, eta, phi; pT falling",
    "l1_regions": "phi, then eta, rising",
}


@dataclass(frozen=True)
class Inputs:
    """Inputs of n events in physical units."""

    raw: NDArray[np.float64]
    """(n, *shape)"""
    mask: NDArray[np.bool_] | None
    """(n, P): where there is a constituent; None for other kinds"""


class InputBuilder:
    """Makes inputs of one kind; `events` and `particles` are the quantities it needs for it."""

    def __init__(self, config: InputsConfig) -> None:
        self.config = config
        if config.kind in _FIXED:
            self.names, columns = _FIXED[config.kind]
        else:
            default = HIGH_LEVEL if config.kind == "features" else CONSTITUENT
            self.names = columns = _flag_last(config.names or default)
        self._expressions = [Expression(name) for name in columns]
        symbols = frozenset().union(*(e.symbols for e in self._expressions))
        self.events: frozenset[str] = symbols if config.kind in _PER_EVENT else frozenset()
        self.particles: frozenset[str] = frozenset()
        if config.kind == "constituents":
            order = {"pt"} if config.order == "pt" else set()
            self.particles = symbols | order | {VALID}
        elif config.kind == "image":
            self.particles = frozenset({"pt_rel", "deta", "dphi"})

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one event's inputs."""
        config = self.config
        if config.kind in ("features", "l1_objects"):
            return (len(self.names),)
        if config.kind == "l1_regions":
            return (REGION_PHI, REGION_ETA, 1)
        if config.kind == "constituents":
            return (config.constituents, len(self.names))
        return (config.pixels, config.pixels, 1)

    @property
    def order(self) -> str:
        """The contract's word for the order along the first axis."""
        if self.config.kind == "constituents":
            return "pT, falling" if self.config.order == "pt" else "as in the file"
        return _ORDERS.get(self.config.kind, "as listed")

    def build(
        self,
        size: int,
        events: Columns,
        particles: Columns,
        counts: NDArray[np.int64] | None,
        places: NDArray[np.int64] | int = 0,
    ) -> Inputs:
        """Inputs of `size` events from their columns, (n,) and (m,), and the (n,) counts.

        `places` are the events' numbers in the file for messages, or that of the first one.
        """
        if self.config.kind in _PER_EVENT:
            table = np.empty((size, len(self._expressions)))
            for i, expression in enumerate(self._expressions):
                table[:, i] = expression.floats(events, places)
            return Inputs(table.reshape(size, *self.shape), None)
        assert counts is not None
        if self.config.kind == "constituents":
            return self._constituents(particles, counts, places)
        return Inputs(self._image(particles, counts), None)

    def _constituents(
        self, particles: Columns, counts: NDArray[np.int64], first: NDArray[np.int64] | int
    ) -> Inputs:
        places = self.config.constituents
        event = np.repeat(np.arange(len(counts)), counts)
        numbers = event + first if isinstance(first, int) else first[event]
        if self.config.order == "pt":
            order = np.lexsort((_falling(np.asarray(particles["pt"])), event))
        else:
            order = np.arange(len(event))
        rank = np.arange(len(event)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = rank < places
        picked, at = order[kept], (event[kept], rank[kept])
        raw = np.zeros((len(counts), places, len(self.names)))
        for i, expression in enumerate(self._expressions):
            values = np.broadcast_to(expression.floats(particles, numbers), event.shape)
            raw[(*at, i)] = values[picked]
        mask = np.zeros((len(counts), places), np.bool_)
        mask[at] = True
        return Inputs(raw, mask)

    def _image(self, particles: Columns, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        event = np.repeat(np.arange(len(counts)), counts)
        weight = np.asarray(particles["pt_rel"], np.float64)
        eta, phi = particles["deta"], particles["dphi"]
        if self.config.rotate:
            eta, phi = _rotated(eta, phi, weight, event, len(counts))
        return jet_images(
            eta, phi, weight, event, len(counts), self.config.pixels, self.config.half_width
        )


def _falling(pt: NDArray[Any]) -> NDArray[Any]:
    """A key that rises as `pt` falls; -pt would wrap for unsigned integers, ~pt is -pt - 1."""
    return ~pt if pt.dtype.kind in "biu" else -pt


def _flag_last(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*(n for n in names if n != VALID), VALID) if VALID in names else names


def jet_images(
    eta: NDArray[Any],
    phi: NDArray[Any],
    weight: NDArray[Any],
    event: NDArray[np.int64],
    size: int,
    pixels: int,
    half_width: float,
) -> NDArray[np.float64]:
    """(size, pixels, pixels, 1) sums of `weight` (m,) on a grid in (eta, phi) [-half_width, +].

    `eta`, `phi`, `event` are (m,): position from the jet's axis and number of the event.
    Constituents outside the grid are left out. With weight = pT / jet pT a pixel is the part of the
    jet's pT in it. A NaN weight or place inside an event makes its first pixel NaN.
    """
    with np.errstate(invalid="ignore"):
        row = np.floor((eta + half_width) * (pixels / (2 * half_width)))
        column = np.floor((phi + half_width) * (pixels / (2 * half_width)))
        inside = (row >= 0) & (row < pixels) & (column >= 0) & (column < pixels)
    lost = ~np.isfinite(eta * phi * weight)
    inside &= ~lost
    cell = (event[inside] * pixels + row[inside].astype(np.int64)) * pixels
    cell += column[inside].astype(np.int64)
    flat = np.bincount(cell, weights=weight[inside], minlength=size * pixels**2)
    images = flat.reshape(size, pixels, pixels, 1).astype(np.float64)
    images[event[lost], 0, 0, 0] = np.nan
    return images


def _rotated(
    eta: NDArray[Any],
    phi: NDArray[Any],
    weight: NDArray[Any],
    event: NDArray[np.int64],
    size: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(eta, phi) turned about the jet's axis so that the principal axis of the pT lies along phi."""

    def moment(values: NDArray[Any]) -> NDArray[Any]:
        return np.bincount(event, weights=weight * values, minlength=size)

    tilt = 0.5 * np.arctan2(2 * moment(eta * phi), moment(phi * phi) - moment(eta * eta))
    cos, sin = np.cos(tilt)[event], np.sin(tilt)[event]
    return eta * cos - phi * sin, eta * sin + phi * cos
