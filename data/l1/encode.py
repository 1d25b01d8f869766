"""Physical objects to hardware integers: checked, sorted, padded with zeros, saturated."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.l1.layout import INPUTS, KINDS, OBJECTS, ROWS, SLOTS
from triggerforge.errors import DataError


@dataclass(frozen=True)
class Encoded:
    """N events in hardware integers."""

    objects: NDArray[np.int16]
    """(N, 19, 3): pT, eta, phi; zero where there is no object"""
    saturated: NDArray[np.bool_]
    """(N, 19, 3): where a value lay past the hardware's range"""
    unsorted: int = 0
    """events whose objects did not fall in pT; they do now"""

    @property
    def columns(self) -> dict[str, NDArray[np.int16]]:
        """name of the input -> (N,)"""
        flat = self.objects.reshape(len(self.objects), len(INPUTS))
        return {name: flat[:, i] for i, name in enumerate(INPUTS)}


def encode(physical: NDArray[np.floating], where: str) -> Encoded:
    """Hardware integers of `physical` (N, 19, 3): pT [GeV], eta, phi [rad]; pT 0 is no object.

    Raises DataError, which begins with `where`, for NaN or infinity and for negative pT.
    """
    values = np.asarray(physical, np.float64)
    if values.shape[1:] != (OBJECTS, 3):
        raise DataError(
            f"{where}: events of shape {values.shape[1:]}; ({OBJECTS}, 3) is due: pT, eta, phi of "
            f"{', '.join(f'{k.slots} {k.name}' for k in KINDS)}"
        )
    check_objects(
        values.reshape(-1, 3), where, lambda i: f"{ROWS[i % OBJECTS]} in event {i // OBJECTS}"
    )
    values, unsorted = sort_objects(values)
    objects = np.zeros(values.shape, np.int16)
    saturated = np.zeros(values.shape, np.bool_)
    for kind in KINDS:
        rows = SLOTS[kind.name]
        for quantity, scale in enumerate(kind.scales):
            integers, over = scale.to_integers(values[:, rows, quantity])
            objects[:, rows, quantity], saturated[:, rows, quantity] = integers, over
    there = objects[..., 0] > 0
    objects[~there], saturated[~there] = 0, False
    objects[:, SLOTS["met"], 1], saturated[:, SLOTS["met"], 1] = 0, False
    return Encoded(objects, saturated, unsorted)


def sort_objects(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """`values` (N, 19, 3) with each kind in falling pT (stable), and how many events were not."""
    result = values.copy()
    wrong = np.zeros(len(values), np.bool_)
    for kind in KINDS:
        rows = SLOTS[kind.name]
        pt = values[:, rows, 0]
        wrong |= (np.diff(pt, axis=1) > 0).any(axis=1)
        order = np.argsort(-pt, axis=1, kind="stable")
        result[:, rows] = np.take_along_axis(values[:, rows], order[..., None], axis=1)
    return result, int(wrong.sum())


def pad(
    event: NDArray[np.int64], objects: NDArray[np.float64], slots: int, events: int
) -> NDArray[np.float64]:
    """(events, slots, 3): the leading `slots` of each event's objects (M, 3), by pT; else zeros.

    `event` (M,) says which event each object is in.
    """
    order = np.lexsort((-objects[:, 0], event))
    event, objects = event[order], objects[order]
    rank = np.arange(len(event)) - np.searchsorted(event, event)
    kept = rank < slots
    table = np.zeros((events, slots, 3))
    table[event[kept], rank[kept]] = objects[kept]
    return table


def check_objects(objects: NDArray[np.float64], where: str, name: Callable[[int], str]) -> None:
    """Raises DataError if an entry of `objects` (M, 3) is NaN, infinite, or a negative pT.

    `where` begins the message; `name` says which object a number stands for.
    """
    for bad, what in ((~np.isfinite(objects), "NaN or infinite"), (objects[:, :1] < 0, "negative")):
        if bad.any():
            at, quantity = (int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{where}: {int(bad.sum())} values are {what}, the first is "
                f"{('pT', 'eta', 'phi')[quantity]} of {name(at)}: {objects[at, quantity]:g}; mend "
                "the file or leave these events out"
            )
