"""Named arrays of physics objects (jets, e/gamma, muons, sums), for cut triggers to look at."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.trigger import ObjectConfig
from triggerforge.data.dataset import Dataset
from triggerforge.errors import DataError, did_you_mean
from triggerforge.trigger.intervals import Array

QUANTITIES = ("pt", "eta", "phi")
SUMS = ("ht", "met", "mht", "et")
"""observables that are an object by themselves"""
_COLUMN = re.compile(r"(?P<name>\w+?)_(?P<quantity>pt|eta|phi)", re.IGNORECASE)


@dataclass(frozen=True)
class Objects:
    """Up to K objects of one kind in each of N events; an absent one has a pT of 0."""

    pt: Array
    """(N, K) [GeV]"""
    eta: Array | None = None
    """(N, K); None where there is none, as of a sum"""
    phi: Array | None = None
    """(N, K) [rad]"""


def collect(config: Mapping[str, ObjectConfig], test: Dataset) -> dict[str, Objects]:
    """The objects that the configuration names; where it names none, those of the observables.

    An observable `jet_pt` is the pT of the object `jet`, `jet_eta` its eta; `ht` and `met` are
    objects by themselves. Raises DataError if rows, columns or sums do not exist or have a NaN.
    """
    if not config:
        return _discover(test)
    found = {n: _make(n, c, test) for n, c in config.items() if c.sum_of is None}
    for name, choice in config.items():
        if choice.sum_of is not None:
            parts = require_object(choice.sum_of, found, f"trigger.objects.{name}.sum_of")
            found[name] = _sum(name, choice, parts)
    for name, objects in found.items():
        if not np.isfinite(objects.pt).all() or (objects.pt < 0).any():
            raise DataError(
                f"object {name!r} has pT that is NaN, infinite or negative in "
                f"{int((~(objects.pt >= 0)).any(axis=1).sum())} events; leave these out with data.selection"
            )
    return found


def require_object(name: str, known: Mapping[str, Objects], where: str) -> Objects:
    """The objects of that name; raises DataError, with the nearest name, if the data lacks it."""
    if name not in known:
        raise DataError(f"{where}: the data has no object {name!r}; {did_you_mean(name, known)}")
    return known[name]


def _discover(test: Dataset) -> dict[str, Objects]:
    columns: dict[str, dict[str, Array]] = {}
    for name, values in test.observables.items():
        match = _COLUMN.fullmatch(name)
        column = np.asarray(values, np.float64)[:, None]
        if match:
            columns.setdefault(match["name"], {})[match["quantity"].lower()] = column
        elif name.lower() in SUMS:
            columns[name] = {"pt": column}
    return {n: Objects(**parts) for n, parts in columns.items() if "pt" in parts}


def _make(name: str, config: ObjectConfig, test: Dataset) -> Objects:
    parts = _columns(name, config, test) if config.columns else _rows(name, config, test)
    if "pt" not in parts:
        raise DataError(f"object {name!r} has no pt, only {list(parts)}; name its pt")
    return Objects(**{q: v * config.scale.get(q, 1.0) for q, v in parts.items()})


def _columns(name: str, config: ObjectConfig, test: Dataset) -> dict[str, Array]:
    found = {}
    for quantity, column in config.columns.items():
        where = f"trigger.objects.{name}"
        if quantity not in QUANTITIES:
            raise DataError(
                f"{where}: no quantity {quantity!r}; {did_you_mean(quantity, QUANTITIES)}"
            )
        if column not in test.observables:
            hint = did_you_mean(column, test.observables)
            raise DataError(f"{where}: no observable {column!r}; {hint}")
        found[quantity] = np.asarray(test.observables[column], np.float64)[:, None]
    return found


def _rows(name: str, config: ObjectConfig, test: Dataset) -> dict[str, Array]:
    """Rows of the network's input, in the unit of the contract: x * 2^shift + offset."""
    assert config.rows is not None
    first, last = config.rows
    table = _table(test)
    count = min((values.shape[1] for values in table.values()), default=0)
    if last > count:
        raise DataError(
            f"trigger.objects.{name}: rows {first}..{last - 1} of an input of shape "
            f"{test.contract.shape} with {count} objects; rows are of inputs (objects, quantities), or of "
            "a list jet0_pt, jet0_eta, jet0_phi, jet1_pt, …, from 0"
        )
    return {quantity: values[:, first:last] for quantity, values in table.items()}


def _table(test: Dataset) -> dict[str, Array]:
    """quantity -> (N, objects) in the unit of the contract, 0 where no object is; may be empty."""
    rank = len(test.contract.shape)
    if rank not in (1, 2):
        return {}
    features = test.contract.features
    columns: dict[str, list[Array]] = {}
    for i, feature in enumerate(features):
        quantity = feature.name.lower().rpartition("_")[2]
        if quantity in QUANTITIES:
            raw = np.ldexp(test.x[..., i].astype(np.float64), feature.shift) + feature.offset
            columns.setdefault(quantity, []).append(raw)
    if rank == 2:
        there = _present(test)
        return {quantity: np.where(there, values[0], 0.0) for quantity, values in columns.items()}
    stems = [f.name.lower().rpartition("_")[0] for f in features]
    whole = all(stems[i : i + 3] == stems[i : i + 1] * 3 for i in range(0, len(stems), 3))
    if not whole or {len(values) for values in columns.values()} != {len(features) / 3}:
        return {}
    return {quantity: np.stack(values, axis=1) for quantity, values in columns.items()}


def _present(test: Dataset) -> NDArray[np.bool_]:
    if test.mask is not None:
        return test.mask
    padding = np.array([f.padding for f in test.contract.features], np.float32)
    there: NDArray[np.bool_] = (test.x != padding).any(axis=2)
    return there


def _sum(name: str, config: ObjectConfig, parts: Objects) -> Objects:
    kept: NDArray[Any] = parts.pt >= config.pt_min
    if config.abs_eta_max is not None:
        if parts.eta is None:
            raise DataError(
                f"trigger.objects.{name}: {config.sum_of!r} has no eta to cut on; leave out "
                "abs_eta_max or name its eta"
            )
        kept &= np.abs(parts.eta) <= config.abs_eta_max
    return Objects(np.where(kept, parts.pt, 0.0).sum(axis=1, keepdims=True))
