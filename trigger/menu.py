"""Cut triggers: which events pass the seeds of a menu."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.trigger import CutConfig
from triggerforge.errors import DataError
from triggerforge.trigger.intervals import Array
from triggerforge.trigger.objects import Objects, require_object

Mask = NDArray[np.bool_]


def decisions(
    menu: Mapping[str, Mapping[str, CutConfig]], objects: Mapping[str, Objects]
) -> dict[str, Mask]:
    """For each seed whether each of the N events passes all of its cuts.

    Raises DataError if a seed names an object, or cuts on a quantity, that the data lacks.
    """
    found = {}
    for seed, cuts in menu.items():
        if not cuts:
            raise DataError(
                f"trigger.menu.{seed} has no cuts; give it one, such as jet: {{pt: [180]}}"
            )
        passed = []
        for name, cut in cuts.items():
            where = f"trigger.menu.{seed}"
            passed.append(_passes(cut, require_object(name, objects, where), f"{where}.{name}"))
        found[seed] = np.logical_and.reduce(passed)
    return found


def _passes(cut: CutConfig, objects: Objects, where: str) -> Mask:
    """Whether enough of the objects meet the cut, the i-th highest pT the i-th threshold."""
    counts: Mask = objects.pt > 0
    if cut.abs_eta_max is not None:
        counts &= np.abs(_need(objects.eta, "eta", where)) <= cut.abs_eta_max
    pt = np.where(counts, objects.pt, -1.0)
    if cut.mass_min is not None or cut.delta_eta_max is not None:
        return _pairs(cut, objects, pt, where)
    wanted = len(cut.pt)
    if pt.shape[1] < wanted:
        return np.zeros(len(pt), np.bool_)
    falling = -np.sort(-pt, axis=1)[:, :wanted]
    return np.asarray(((falling >= cut.pt) & (falling > 0)).all(axis=1))


def _pairs(cut: CutConfig, objects: Objects, pt: Array, where: str) -> Mask:
    """Whether any two objects meet the thresholds in pT and the cuts on the pair."""
    eta = _need(objects.eta, "eta", where)
    leading, trailing = cut.pt
    passes: Mask = np.zeros(len(pt), np.bool_)
    for i, j in combinations(range(pt.shape[1]), 2):
        both = np.sort(pt[:, [i, j]], axis=1)
        good = (both[:, 1] >= leading) & (both[:, 0] >= trailing) & (both[:, 0] > 0)
        distance = eta[:, i] - eta[:, j]
        if cut.delta_eta_max is not None:
            good &= np.abs(distance) <= cut.delta_eta_max
        if cut.mass_min is not None:
            phi = _need(objects.phi, "phi", where)
            # massless objects: m² = 2 pT1 pT2 (cosh Δη - cos Δφ)
            angle = np.cosh(distance) - np.cos(phi[:, i] - phi[:, j])
            good &= 2 * objects.pt[:, i] * objects.pt[:, j] * angle >= cut.mass_min**2
        passes = np.asarray(passes | good)
    return passes


def _need(values: Array | None, quantity: str, where: str) -> Array:
    if values is None:
        raise DataError(f"{where}: its object has no {quantity} in the data; leave out that cut")
    return values
