"""Which columns of a file look like the class of an event: a guess to show to people, no more."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.expressions import Expression
from triggerforge.data.readers.base import Reader, Request
from triggerforge.errors import DataError

_NAMED = re.compile(
    r"label|target|truth|flavou?r|category|(^|_)class(es)?($|_|id)|signal|(^|[_.])is_?[A-Z]|"
    r"(^|[_.])is_|(^|_)(sig|bkg|y|gen_?match|hadronflavour)$",
    re.IGNORECASE,
)
_NO_LABEL = re.compile(
    r"^(run|lumi|bunch|orbit)|^(HLT|L1|DST|AlCa|Flag|MC|Dataset)_|trigger|(idx|index|mask|hash|version|_size)$|"
    r"(?-i:^[nN](um)?[A-Z_])",
    re.IGNORECASE,
)
"""bits that say which trigger fired, counts and indices"""
_MAX_VALUES = 12
_READ = 200
"""columns that are looked at, where names do not tell"""
_FLAVOUR = re.compile(r"flavou?r|pdgid$", re.IGNORECASE)
_FLAVOURS = {"light": (1, 3), "charm": (4, 4), "bottom": (5, 5), "top": (6, 6), "gluon": (21, 21)}
"""class -> range of |PDG id|"""


@dataclass(frozen=True)
class LabelCandidate:
    """A column, or several flags of which one is set, that looks like the class of an event."""

    columns: tuple[str, ...]
    values: dict[str, int]
    """value, or flag -> events that have it"""
    label: dict[str, str]
    """class -> condition: what `data.label` would be"""

    def __str__(self) -> str:
        shown = ", ".join(f"{value}: {count}" for value, count in list(self.values.items())[:8])
        more = ", …" if len(self.values) > 8 else ""
        name = self.columns[0] if len(self.columns) == 1 else " ".join(self.columns[:4])
        return f"{name} ({shown}{more})"


def label_candidates(columns: Mapping[str, NDArray[Any]]) -> list[LabelCandidate]:
    """The columns, one number (n,) an event each, that look like labels; the likeliest first.

    Flags (0 or 1) of one family of names of which at most one is set count as one candidate. A column
    counts where its name speaks for it and it holds 2 to 12 different integers; where no name does,
    the first five columns that hold 2 to 5.
    """
    usable = {
        n: _integers(v) for n, v in columns.items() if is_symbol(n) and not _NO_LABEL.search(n)
    }
    whole = {n: v for n, v in usable.items() if v is not None and len(v)}
    named = {n: v for n, v in whole.items() if _NAMED.search(n)}
    families = list(_families(named))
    taken = {name for family in families for name in family.columns}
    single = [_single(n, v) for n, v in named.items() if n not in taken]
    found = families + [c for c in single if c and len(c.label) > 1]
    if found:
        return sorted(found, key=lambda c: -_rank(c))
    others = (_single(n, v) for n, v in whole.items() if len(np.unique(v)) <= 5)
    return [c for c in others if c and len(c.label) > 1][:5]


def guessed_labels(reader: Reader, chunk: int) -> list[LabelCandidate]:
    """The candidates among the columns of a file, by its first `chunk` entries; none if unreadable."""
    names = sorted(n for n in reader.event_columns if is_symbol(n))
    if len(names) > _READ:
        names = [n for n in names if _NAMED.search(n)]
    try:
        first = next(reader.chunks(Request(frozenset(names), label=False), chunk), None)
    except DataError:  # it is another error that is to be explained
        return []
    return label_candidates(first.events) if first else []


def is_symbol(name: str) -> bool:
    """Whether an expression can speak of a column by that name."""
    try:
        return Expression(name).symbols == {name}
    except DataError:
        return False


def _integers(values: NDArray[Any]) -> NDArray[np.int64] | None:
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "buif":
        return None
    with np.errstate(invalid="ignore"):  # a signalling NaN of a file
        wide = values.astype(np.float64)
    whole = np.isfinite(wide).all() and (wide % 1 == 0).all() and (np.abs(wide) < 2**31).all()
    return wide.astype(np.int64) if whole else None


def _single(name: str, values: NDArray[np.int64]) -> LabelCandidate | None:
    found, counts = np.unique(values, return_counts=True)
    if _FLAVOUR.search(name) and np.isin(np.abs(found), (4, 5, 21)).any():
        return _flavours(name, values)
    if not 2 <= len(found) <= _MAX_VALUES:
        return None
    if found.tolist() == [0, 1]:
        label = {"background": f"{name} == 0", "signal": f"{name} == 1"}
    else:
        label = {f"class_{v}".replace("-", "m"): f"{name} == {v}" for v in found.tolist()}
    shown = {str(v): int(c) for v, c in zip(found.tolist(), counts.tolist(), strict=True)}
    return LabelCandidate((name,), shown, label)


def _flavours(name: str, values: NDArray[np.int64]) -> LabelCandidate:
    """Of a column of PDG ids."""
    found, counts = np.unique(np.abs(values), return_counts=True)
    label = {}
    for flavour, (low, high) in _FLAVOURS.items():
        if ((found >= low) & (found <= high)).any():
            label[flavour] = f"abs({name}) == {low}"
            if low < high:
                label[flavour] = f"(abs({name}) >= {low}) & (abs({name}) <= {high})"
    shown = {f"±{v}" if v else "0": c for v, c in zip(found.tolist(), counts.tolist(), strict=True)}
    return LabelCandidate((name,), shown, label)


def _families(columns: Mapping[str, NDArray[np.int64]]) -> Iterator[LabelCandidate]:
    """Flags that share the beginning of their names and exclude each other."""
    flags = {n: v for n, v in columns.items() if np.unique(v).tolist() == [0, 1]}
    groups: dict[str, list[str]] = {}
    for name in flags:
        groups.setdefault(_beginning(name), []).append(name)
    for beginning, names in groups.items():
        table = np.stack([flags[n] for n in names])
        if len(names) > 1 and (table.sum(axis=0) <= 1).all():
            label = {n[len(beginning) :] or n: f"{n} == 1" for n in names}
            shown = {n: int(flags[n].sum()) for n in names}
            yield LabelCandidate(tuple(names), shown, label)


def _beginning(name: str) -> str:
    """label_ of label_QCD, is of isTop, is_ of is_top."""
    match = re.match(r"(.*[_.])?is(?=[A-Z])", name)
    return match.group() if match else name[: max(name.rfind("_"), name.rfind(".")) + 1]


def _rank(candidate: LabelCandidate) -> float:
    name = candidate.columns[0].lower()
    words = (
        "label",
        "target",
        "truth",
        "class",
        "signal",
        "partonflav",
        "hadronflav",
        "flav",
        "is",
    )
    first = next((i for i, word in enumerate(words) if word in name), len(words))
    return len(candidate.columns) / 100 - first
