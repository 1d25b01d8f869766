"""Events from files, chunk by chunk: read, selected, labelled, as network inputs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.expressions import Expression
from triggerforge.data.features import HIGH_LEVEL, InputBuilder, Inputs
from triggerforge.data.kinematics import Columns, Plan
from triggerforge.data.labels import guessed_labels
from triggerforge.data.readers.base import Chunk, Reader, from_numbers
from triggerforge.data.readers.opening import open_reader
from triggerforge.data.readers.root import RootReader
from triggerforge.errors import DataError, did_you_mean

_TOGETHER = {"generator": "event"}
"""format -> the column that events of one collision share"""
_WEIGHT = {"l1": "weight"}
"""format -> the column without which its events are no mixture that is found anywhere"""
_FLOAT32 = 2**24
"""integers up to this size are all float32 numbers"""
OBSERVABLES = ("jet_pt", "jet_eta", "jet_mass")


@dataclass(frozen=True)
class Batch:
    """The selected events of a chunk; n of them."""

    inputs: Inputs
    label: NDArray[np.int64]
    """(n,): index into the classes"""
    weight: NDArray[np.float32]
    """(n,)"""
    observables: dict[str, NDArray[np.float32]]
    """(n,) each"""
    place: NDArray[np.int64]
    """(n,): number of the event in the file"""
    together: NDArray[np.int64]
    """(n,): events with the same number belong in the same part of the data set"""


@dataclass
class Count:
    """How many events came through."""

    read: int = 0
    unlabelled: int = 0
    """of no class, or of one that data.classes leaves out"""
    deselected: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    """class -> events"""


class EventSource:
    """One file, read as the configuration says.

    Raises DataError if the file cannot be read so; see the readers.
    """

    def __init__(self, path: Path, config: DataConfig) -> None:
        self.path = path
        self.config = config
        self.reader: Reader = open_reader(path, config)
        self.builder = InputBuilder(config.inputs)
        self._selection = Expression(config.selection) if config.selection else None
        weights = config.weights or _WEIGHT.get(self.reader.format)
        self._weights = Expression(weights) if weights else None

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label; raises DataError if there is no telling."""
        config, reader = self.config, self.reader
        if isinstance(config.label, dict):
            return config.classes or tuple(config.label)
        if config.label is not None:
            if not config.classes:
                raise DataError("data.label is one expression: name its classes in data.classes")
            return config.classes
        if not reader.classes and reader.labelled:
            raise DataError(
                f"{self.path}: the format {reader.format!r} numbers its classes and does not name them; "
                "name them in data.classes, in the order of the numbers from 0"
            )
        if not reader.classes:
            raise DataError(self._no_label())
        for name in config.classes:
            if name not in reader.classes:
                hint = did_you_mean(name, reader.classes)
                raise DataError(f"data.classes: {reader.format} has no class {name!r}; {hint}")
        return config.classes or reader.classes

    def _no_label(self) -> str:
        """What to write, with the columns that look like labels."""
        found = guessed_labels(self.reader, self.config.chunk)
        label = found[0].label if found else {"signal": "… == 1", "background": "… == 0"}
        conditions = ", ".join(f"{name}: {text!r}" for name, text in list(label.items())[:4])
        looks = ", ".join(map(str, found[:5])) if found else "none that looks like one"
        return (
            f"{self.path}: the format {self.reader.format!r} has no label of its own; set data.label to "
            f"one condition for each class, such as {{{conditions}}}, or to an expression of the "
            f"class's number (and data.classes to their names); columns that look like labels: {looks}"
        )

    @cached_property
    def _labels(self) -> list[Expression]:
        label = self.config.label
        if label is None:
            return []
        if isinstance(label, str):
            return [Expression(label)]
        return [Expression(label[name]) for name in self.classes]

    @cached_property
    def observables(self) -> tuple[str, ...]:
        """Names of the quantities kept for plots."""
        if self.config.observables is not None:
            return self.config.observables
        return tuple(n for n in OBSERVABLES if self._offers(n))

    @cached_property
    def _together(self) -> str | None:
        name = self.config.together or _TOGETHER.get(self.reader.format)
        known = self.config.together or name in self.reader.event_columns
        return name if known else None

    def _offers(self, name: str) -> bool:
        reader = self.reader
        try:
            Plan(
                reader.event_columns,
                reader.particle_columns,
                frozenset({name}),
                frozenset(),
                str(self.path),
            )
        except DataError:
            return False
        return name in reader.event_columns or bool(self.builder.particles)

    @cached_property
    def _unusable(self) -> dict[str, str]:
        """Columns of the file that hold no numbers for an event, and what they hold."""
        if not isinstance(self.reader, RootReader):
            return {}
        layout, objects = self.reader.layout, self.reader.objects
        held = {n: "lists of lists" for n, depth in layout.depths.items() if depth > 1}
        held |= layout.others
        own = f"{objects}." if objects else "/"  # no name has that
        return held | {n.removeprefix(own): kind for n, kind in held.items() if n.startswith(own)}

    def _check_default(self) -> None:
        """Raises DataError if no inputs are named and the file lacks those that are meant then."""
        inputs, known = self.config.inputs, self.reader.event_columns
        if inputs.kind == "features" and not inputs.names and not known >= set(HIGH_LEVEL):
            shown = ", ".join(sorted(known)[:20]) or "none"
            raise DataError(
                f"{self.path}: data.inputs.names is not set, and the {len(HIGH_LEVEL)} features of the "
                f"LHC jet set that it stands for ({HIGH_LEVEL[0]}, …) are not in the file; name columns "
                f"of the file, which has {shown}"
            )

    def _plan(self, with_truth: bool) -> Plan:
        """What is to be read: the inputs, and for training all that labels and selects."""
        self._check_default()
        events = set(self.builder.events)
        if with_truth:
            events |= {*self.observables, *filter(None, [self._together])}
            for expression in (self._selection, self._weights, *self._labels):
                events |= expression.symbols if expression else frozenset()
        return Plan(
            self.reader.event_columns,
            self.reader.particle_columns,
            frozenset(events),
            self.builder.particles,
            str(self.path),
            label=with_truth and not self._labels,
            unusable=self._unusable,
        )

    def require_inputs(self) -> None:
        """Raises DataError if the file has not what the inputs are made of."""
        self._plan(with_truth=False)

    def inputs(self) -> Iterator[tuple[Chunk, Inputs]]:
        """Inputs of all events in the file's order: no selection, no label is asked for."""
        plan = self._plan(with_truth=False)
        seen = 0
        for chunk in self.reader.chunks(plan.request, self.config.chunk):
            yield chunk, self._build(chunk, plan.columns(chunk), seen)
            seen += chunk.size
            del chunk  # or it would stay while the next one is read

    def batches(self, count: Count) -> Iterator[Batch]:
        """The selected and labelled events, chunk by chunk; `count` is kept up to date."""
        classes = self.classes  # or an error, before anything is read
        plan = self._plan(with_truth=True)
        seen = 0
        for chunk in self.reader.chunks(plan.request, self.config.chunk):
            columns = plan.columns(chunk)
            label = self._label(chunk, columns, seen)
            keep = self._keep(chunk, columns, seen)
            count.read += chunk.size
            count.deselected += int((~keep).sum())
            count.unlabelled += int((keep & (label < 0)).sum())
            chosen = np.flatnonzero(keep & (label >= 0))
            for i, name in enumerate(classes):
                count.kept[name] = count.kept.get(name, 0) + int((label[chosen] == i).sum())
            if len(chosen):
                yield self._batch(chunk, columns, label, chosen, seen)
            seen += chunk.size
            del chunk, columns  # or they would stay while the next ones are read

    def _batch(
        self,
        chunk: Chunk,
        columns: Columns,
        label: NDArray[np.int64],
        chosen: NDArray[np.int64],
        seen: int,
    ) -> Batch:
        taken = columns.take(chosen)
        place = seen + chosen
        inputs = self._build(taken.chunk, taken, place)
        weight = np.ones(len(chosen), np.float32)
        if self._weights:
            weight[:] = self._weights.floats(taken, place)
        return Batch(
            inputs=inputs,
            label=label[chosen],
            weight=weight,
            observables={n: _observable(n, taken[n], place) for n in self.observables},
            place=place,
            together=self._collisions(chunk, columns)[chosen],
        )

    def _collisions(self, chunk: Chunk, columns: Columns) -> NDArray[np.int64]:
        if self._together:
            return _key(np.asarray(columns[self._together]))
        if chunk.per_entry is None:
            return chunk.first + np.arange(chunk.size)
        return np.repeat(chunk.first + np.arange(len(chunk.per_entry)), chunk.per_entry)

    def _build(self, chunk: Chunk, columns: Columns, places: NDArray[np.int64] | int) -> Inputs:
        return self.builder.build(chunk.size, columns, columns.particles, chunk.counts, places)

    def _keep(self, chunk: Chunk, columns: Columns, seen: int) -> NDArray[np.bool_]:
        if self._selection is None:
            return np.ones(chunk.size, np.bool_)
        value = np.asarray(self._selection.evaluate(columns, seen))
        if value.dtype.kind not in "bui":
            raise DataError(
                f"data.selection {self._selection.text!r} gives {value.dtype}, not true or false"
            )
        return np.broadcast_to(value != 0, (chunk.size,))

    def _label(self, chunk: Chunk, columns: Columns, seen: int) -> NDArray[np.int64]:
        """(n,) index into the classes, -1 for none."""
        if not self._labels:
            assert chunk.label is not None
            chosen = {self.reader.classes.index(n): i for i, n in enumerate(self.classes)}
            table = [chosen.get(i, -1) for i in range(len(self.reader.classes))]
            return np.array([*table, -1])[chunk.label]  # -1 picks the last
        values = [np.broadcast_to(e.floats(columns, seen), (chunk.size,)) for e in self._labels]
        if isinstance(self.config.label, str):
            return from_numbers(self.path, values[0], len(self.classes), seen)
        return self._conditions(np.stack(values, axis=1), seen)

    def _conditions(self, values: NDArray[np.float64], seen: int) -> NDArray[np.int64]:
        neither = np.isnan(values).any(axis=1)
        if neither.any():
            raise DataError(
                f"{self.path}: data.label gives NaN for {int(neither.sum())} events, the first is "
                f"event {seen + int(neither.argmax())}; write a condition that is true or false"
            )
        flags = values != 0
        several = flags.sum(axis=1) > 1
        if several.any():
            at = int(several.argmax())
            both = [self.classes[i] for i in np.flatnonzero(flags[at])]
            raise DataError(
                f"{self.path}: {int(several.sum())} events are of several classes by data.label, "
                f"the first is event {seen + at}: {both}; make the conditions exclude each other"
            )
        return np.where(flags.any(axis=1), flags.argmax(axis=1), -1)


def _observable(name: str, column: NDArray[Any], place: NDArray[np.int64]) -> NDArray[np.float32]:
    """A column as it is kept for plots, in float32.

    Raises DataError for an integer that float32 does not hold: numbers of runs and events would run
    into each other.
    """
    kept = column.astype(np.float32)
    if column.dtype.kind in "iu":
        lost = np.flatnonzero((column > _FLOAT32) | (column < -_FLOAT32))
        lost = lost[[int(kept[i]) != int(column[i]) for i in lost]] if lost.size else lost
        if lost.size:
            raise DataError(
                f"data.observables: {name!r} of event {place[lost[0]]} is the integer "
                f"{column[lost[0]]}, which float32 does not hold; subtract an integer from it in "
                "data.mapping.columns, or leave it out"
            )
    return kept


def _key(column: NDArray[Any]) -> NDArray[np.int64]:
    """Equal integers for equal numbers and no others: floats and uint64 by their bits."""
    if column.dtype.kind == "f":
        return (column.astype(np.float64) + 0.0).view(np.int64)  # -0 is 0
    return (
        column.astype(np.uint64).view(np.int64)
        if column.dtype.kind == "u"
        else column.astype(np.int64)
    )
