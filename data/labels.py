"""Which columns of a file look like the class of an event, and how the configuration would say it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_CLASSES = 12
"""a column with more values than this is no class"""
_WORDS = ("label", "class", "target", "truth", "flavour", "flavor", "is_", "signal", "process", "y")
_FLAVOURS = {
    "gluon": "{0} == 21",
    "quark": "(abs({0}) >= 1) & (abs({0}) <= 3)",
    "charm": "abs({0}) == 4",
    "bottom": "abs({0}) == 5",
}
"""jets by the PDG id of the parton that they come from"""


@dataclass(frozen=True)
class LabelCandidate:
    """One way to tell the events' classes from columns of the file."""

    columns: tuple[str, ...]
    events: dict[str, int]
    """class -> events of it among those that were looked at"""
    label: dict[str, str]
    """class -> condition, as `data.label` takes it"""
    named: bool
    """whether the column's name speaks of a label"""


def label_candidates(columns: Mapping[str, NDArray[Any]]) -> list[LabelCandidate]:
    """The likely labels among `columns`, name -> (events,); those whose names speak of one first.

    A label is a set of flags with one prefix of which exactly one is set in each event (label_QCD,
    label_Hbb, …), or a column of 2 to MAX_CLASSES whole numbers.
    """
    found = [*_one_hot(columns)]
    taken = {name for candidate in found for name in candidate.columns}
    for name, values in columns.items():
        candidate = None if name in taken else _of_values(name, np.asarray(values))
        if candidate:
            found.append(candidate)
    return sorted(found, key=lambda c: (not c.named, len(c.events)))


def _one_hot(columns: Mapping[str, NDArray[Any]]) -> list[LabelCandidate]:
    """Groups of flags by the word before their first underscore."""
    groups: dict[str, list[str]] = {}
    for name, values in columns.items():
        head, _, tail = name.partition("_")
        if tail and _is_flag(np.asarray(values)):
            groups.setdefault(head, []).append(name)
    candidates = []
    for head, names in groups.items():
        flags = np.stack([np.asarray(columns[name]) != 0 for name in names], axis=1)
        if len(names) > 1 and len(flags) and (flags.sum(axis=1) == 1).all():
            label = {name[len(head) + 1 :]: f"{name} == 1" for name in names}
            events = dict(zip(label, (int(n) for n in flags.sum(axis=0)), strict=True))
            candidates.append(LabelCandidate(tuple(names), events, label, named=True))
    return candidates


def _is_flag(values: NDArray[Any]) -> bool:
    return values.dtype == np.bool_ or (
        values.dtype.kind in "iuf" and bool(np.isin(values, (0, 1)).all())
    )


def _of_values(name: str, values: NDArray[Any]) -> LabelCandidate | None:
    if values.dtype.kind not in "biuf" or not len(values):
        return None
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any():
        return None
    found, counts = np.unique(numbers, return_counts=True)
    if name.lower().endswith(("partonflavour", "hadronflavour")):
        return _of_flavours(name, numbers)
    if not 2 <= len(found) <= MAX_CLASSES:
        return None
    whole = [int(value) for value in found]
    label = {_class_name(name, value): f"{name} == {value}" for value in whole}
    if values.dtype == np.bool_:
        label = {f"not_{_plain(name)}": f"{name} == 0", _plain(name): f"{name} == 1"}
    events = dict(zip(label, (int(n) for n in counts), strict=True))
    return LabelCandidate((name,), events, label, _speaks(name))


def _of_flavours(name: str, numbers: NDArray[np.float64]) -> LabelCandidate | None:
    size = np.abs(numbers)
    sums = {"gluon": numbers == 21, "charm": size == 4, "bottom": size == 5}
    sums["quark"] = (size >= 1) & (size <= 3)
    events = {n: int(sums[n].sum()) for n in _FLAVOURS if sums[n].any()}
    label = {n: _FLAVOURS[n].format(name) for n in events}
    return LabelCandidate((name,), events, label, named=True) if len(events) > 1 else None


def _speaks(name: str) -> bool:
    words = name.lower()
    return any(words == w or (len(w) > 1 and w in words) for w in _WORDS)


def _class_name(column: str, value: int) -> str:
    return f"{_plain(column)}_{value}".replace("-", "minus")


def _plain(column: str) -> str:
    return re.sub(r"\W+", "_", column)
