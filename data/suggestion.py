"""A section `data` that reads a file as it is: inputs, label and mapping guessed from what it holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.expressions import Expression
from triggerforge.data.features import HIGH_LEVEL
from triggerforge.data.kinematics import EVENT
from triggerforge.data.l1.layout import INPUTS, REGIONS
from triggerforge.data.labels import LabelCandidate, is_symbol, label_candidates
from triggerforge.data.readers.base import READERS, Reader, Request
from triggerforge.data.readers.root import RootReader
from triggerforge.data.readers.trees import Layout
from triggerforge.errors import DataError

LOOK = 1000
"""entries that a guess is made from"""
_MOST = 16
"""inputs that are suggested"""
_FEWEST = 20
"""events of a class in those entries"""
_BEYOND = 2.0**53
"""identifiers, and what no expression can be compared with"""
SPELLINGS = {
    "pt": ("pt", "fcoordinates.fpt", "fpt", "p_t"),
    "eta": ("eta", "fcoordinates.feta", "feta"),
    "phi": ("phi", "fcoordinates.fphi", "fphi"),
    "mass": ("mass", "m", "fcoordinates.fm", "fm"),
    "energy": ("energy", "e", "fcoordinates.fe", "fe"),
    "px": ("px", "momentum.x", "fp.fx", "fcoordinates.fx", "core.p4.px"),
    "py": ("py", "momentum.y", "fp.fy", "fcoordinates.fy", "core.p4.py"),
    "pz": ("pz", "momentum.z", "fp.fz", "fcoordinates.fz", "core.p4.pz"),
}
"""quantity -> how trees of NanoAOD, Delphes, ROOT's vectors, edm4hep spell it, in small letters"""
_NO_INPUT = re.compile(
    r"^(run|events?|evt|lumi|luminosityblock|bunch|orbit|entry)|(idx|index|number|id|_size)$|weight|"
    r"^(HLT|L1|Flag|DST)_",
    re.IGNORECASE,
)
"""numbers of events and of other rows, weights, trigger bits"""


@dataclass(frozen=True)
class Suggestion:
    """A guess at how a file is to be read."""

    section: dict[str, Any]
    labels: tuple[LabelCandidate, ...]
    """columns that look like labels, the likeliest first"""
    notes: tuple[str, ...] = ()
    """what had to be assumed"""


def suggested(reader: Reader, config: DataConfig) -> Suggestion:
    """The section `data` for the file of `reader`, which `config` has opened.

    Raises DataError if the file's first entries cannot be read.
    """
    section: dict[str, Any] = {"source": list(config.source), "format": reader.format}
    if config.mapping.tree:
        section["mapping"] = {"tree": config.mapping.tree}
    if reader.classes or reader.labelled:
        section |= {"inputs": _known_inputs(reader)}
        return Suggestion(section, ()) if reader.classes else _numbered(section, reader)
    if isinstance(reader, RootReader):
        mapping = _mapping(reader.layout, reader.objects, config.mapping.tree)
        if mapping:
            section["mapping"] = mapping
            changed = config.model_copy(update={"format": reader.format})
            changed = DataConfig.model_validate(changed.model_dump() | {"mapping": mapping})
            opened = READERS[reader.format](reader.path, changed)
            assert isinstance(opened, RootReader)
            reader = opened
    events = _first_events(reader)
    labels = tuple(label_candidates(events))
    inputs = _known_inputs(reader)
    used = {c for candidate in labels for c in candidate.columns}
    names = _features(reader, events, used)
    if inputs["kind"] == "features":
        inputs = {"kind": "features", "names": names}
    label, notes = _label(labels, events, names)
    weights = [n for n in sorted(events) if "weight" in n.lower() and is_symbol(n)][:5]
    if weights:
        notes.append(f"columns that look like weights: {', '.join(weights)} (data.weights)")
    section |= {"inputs": inputs}
    if label:
        section |= {"label": label}
    if reader.entries < LOOK:  # or a small part might have no event of a class
        section |= {"split": [0.5, 0.25, 0.25]}
    return Suggestion(section, labels, tuple(notes))


def _numbered(section: dict[str, Any], reader: Reader) -> Suggestion:
    """The file numbers its classes and does not name them."""
    label = next(iter(reader.chunks(Request(), LOOK))).label
    assert label is not None
    names = [f"class_{number}" for number in range(max(int(label.max()) + 1, 2))]
    note = "the file numbers its classes and does not name them: put their names into data.classes"
    return Suggestion(section | {"classes": names}, (), (note,))


def _known_inputs(reader: Reader) -> dict[str, Any]:
    """Inputs of files that have the columns which a kind of inputs is made for."""
    if reader.event_columns.issuperset(INPUTS):
        return {"kind": "l1_objects"}
    if reader.event_columns.issuperset(REGIONS):
        return {"kind": "l1_regions"}
    if reader.event_columns.issuperset(HIGH_LEVEL):
        return {"kind": "features", "names": list(HIGH_LEVEL)}
    four = ({"pt", "eta", "phi"}, {"px", "py", "pz"}, {"pt", "rapidity", "phi"})
    if any(names <= reader.particle_columns for names in four):
        return {"kind": "constituents"}
    names = sorted(n for n in reader.event_columns if is_symbol(n) and not _NO_INPUT.search(n))
    return {"kind": "features", "names": names[:_MOST]}


def _mapping(layout: Layout, objects: str | None, tree: str | None) -> dict[str, Any]:
    """Which collection's elements are the events, and its four-vector's usual names."""
    mapping: dict[str, Any] = {"tree": tree or layout.tree}
    if objects is None:
        flat = [n for n, d in layout.depths.items() if d == 0 and not _NO_INPUT.search(n)]
        collections = _by_kinematics(layout)
        if len(flat) >= 2 and not _looks_like_events(collections):
            return mapping
        objects = next(iter(collections), None)
    if objects is None:
        return mapping
    short = {s.lower(): s for s in layout.members(objects)}
    columns = {
        quantity: short[spelling]
        for quantity, spellings in SPELLINGS.items()
        for spelling in spellings
        if spelling in short and quantity not in layout.members(objects)
    }
    return mapping | {"objects": objects} | ({"columns": columns} if columns else {})


def _looks_like_events(collections: list[str]) -> bool:
    """Whether the tree is one of collisions, whose jets or leptons are classified."""
    return any("jet" in name.lower() for name in collections)


def _by_kinematics(layout: Layout) -> list[str]:
    """Collections with a momentum, jets first, and of them the one with most columns."""
    momenta = {*SPELLINGS["pt"], *SPELLINGS["px"]}
    found = {
        name: len(layout.members(name))
        for name in layout.collections()
        if momenta & {short.lower() for short in layout.members(name)}
    }
    return sorted(found, key=lambda n: ("jet" not in n.lower(), "gen" in n.lower(), -found[n]))


def _first_events(reader: Reader) -> dict[str, NDArray[Any]]:
    names = {n for n in reader.event_columns if is_symbol(n)}
    if isinstance(reader, RootReader) and reader.objects:
        layout = reader.layout
        members = layout.members(reader.objects)
        counter = layout.leaves[layout.sizer(reader.objects)].lengths
        names -= {n for n, c in members.items() if layout.leaves[c].lengths not in (counter, None)}
        names &= set(members) | reader.aliases
    return _events(reader, sorted(names))


def _events(reader: Reader, names: list[str]) -> dict[str, NDArray[Any]]:
    """Those of the columns that can be read, of the first entries, by halves where not all can."""
    try:
        chunks = reader.chunks(Request(frozenset(names), label=False), LOOK)
        return next(iter(chunks)).events
    except DataError:
        half = len(names) // 2
        if not half:
            return {}
        return _events(reader, names[:half]) | _events(reader, names[half:])


def _features(reader: Reader, events: Mapping[str, NDArray[Any]], used: set[str]) -> list[str]:
    """Columns that vary and are finite: the four-vector first, then those of the collection."""
    own: set[str] = set()
    if isinstance(reader, RootReader) and reader.objects:
        own = set(reader.layout.members(reader.objects)) | (set(reader.aliases) & set(SPELLINGS))
    good = [
        n
        for n, values in events.items()
        if n not in used and not _NO_INPUT.search(n) and (not own or n in own) and _varies(values)
    ]
    twice = {n for n in good if n in own and n not in SPELLINGS and n.lower() in _spelled(good)}
    order = {name: i for i, name in enumerate(SPELLINGS)}
    kept = [n for n in good if n not in twice and not (n.startswith("jet_") and n in EVENT and own)]
    return sorted(kept, key=lambda n: (order.get(n, len(order)), n))[:_MOST]


def _spelled(names: list[str]) -> set[str]:
    return {s for n in names if n in SPELLINGS for s in SPELLINGS[n]}


def _varies(values: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):  # a signalling NaN of a file
        values = np.asarray(values, np.float64)
    if not len(values) or not np.isfinite(values).all():
        return False
    return bool(values.min() < values.max() and np.abs(values).max() < _BEYOND)


def _label(
    labels: tuple[LabelCandidate, ...], events: Mapping[str, NDArray[Any]], names: list[str]
) -> tuple[dict[str, str], list[str]]:
    """The classes of the likeliest candidate that has two with events enough, else two halves."""
    for candidate in labels:
        label = {
            name: condition
            for name, condition in candidate.label.items()
            if _count(condition, events) >= _FEWEST
        }
        if len(label) > 1:
            rare = sorted(set(candidate.label) - set(label))
            left = f"; classes with few events are left out: {', '.join(rare)}" if rare else ""
            return label, [f"the label is a guess by name and values: {candidate}{left}"]
    if not names:
        return {}, ["no column of numbers that could be an input or a label"]
    middle = float(np.median(np.asarray(events[names[0]], np.float64)))
    label = {"low": f"{names[0]} <= {middle!r}", "high": f"{names[0]} > {middle!r}"}
    return label, ["no column looks like a label with events enough: two halves stand in its place"]


def _count(condition: str, columns: Mapping[str, NDArray[Any]]) -> int:
    return int(np.count_nonzero(Expression(condition).evaluate(columns)))
