"""Network outputs for every event of a file, appended to a copy of it."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.copying import copied_rows
from triggerforge.data.features import Inputs
from triggerforge.data.load import normalized, require_inputs
from triggerforge.data.readers.base import Chunk, Reader, Request
from triggerforge.data.readers.parquet import ParquetReader
from triggerforge.data.readers.root import RootReader
from triggerforge.data.source import EventSource
from triggerforge.data.writers import (
    Columns,
    RootSink,
    Sink,
    open_sink,
    require_writable,
)
from triggerforge.errors import DataError
from triggerforge.progress import progress, say

PREFIX = "tf_score_"
Predict = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass
class Scored:
    """What was written."""

    file: str
    entries: int = 0
    """rows of the file"""
    events: int = 0
    """what the network classified: entries, or elements of a collection in them"""
    not_scored: int = 0
    """events with NaN or infinite inputs; their scores are NaN"""
    left_out: list[str] = field(default_factory=list)
    """branches and objects that the copy does not hold"""

    def to_dict(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        return asdict(self)


def score_file(
    predict: Predict,
    config: DataConfig,
    contract: InputContract,
    source: Path,
    out: Path,
    classes: tuple[str, ...] | None = None,
) -> Scored:
    """Writes `source` again to `out` (.root or .parquet) with the columns tf_score_<class>.

    `predict` gets x (N, *contract.shape), float32 on the contract's grid, and gives (N, classes);
    its numbers are written as they are (logits stay logits). All entries are there, in their order;
    no selection applies. Events in a collection (mapping.objects: Jet) get a list for each entry,
    Jet_tf_score_<class>. `classes` names the outputs, and the file then needs no label; left out: those
    of file and configuration. Memory is bounded by `config.chunk` entries.
    Raises DataError as `require_scorable` does, if the file's inputs are not the contract's, or if it
    has scores of these classes already.
    """
    events = require_scorable(config, source, out)
    classes = classes or events.classes
    _require_unscored(events.reader, classes)
    require_inputs(events.builder, contract)
    if out.exists():
        say(f"{out} is there already; it is replaced when the new one is whole")
    done = Scored(str(out))
    with (
        open_sink(out, _tree_name(events.reader)) as sink,
        progress(f"score {source.name}", events.reader.entries) as meter,
        closing(_rows(events, config.chunk, sink, done)) as rows,
    ):
        for chunk, inputs in events.inputs():
            scores = _scores(predict, contract, inputs, done, len(classes))
            if scores.shape != (chunk.size, len(classes)):
                raise DataError(
                    f"the network gives {scores.shape} for {chunk.size} events and the classes "
                    f"{list(classes)}; name one class for each output"
                )
            added = _score_columns(scores, classes, chunk, config, events.reader)
            done.events += chunk.size
            done.entries = chunk.first + _entries(chunk)
            del chunk, inputs, scores  # what is written comes in now: hold one thing at a time
            sink.write(next(rows) | added)
            meter(done.entries, f"{done.events} events")
        for columns in rows:  # no chunk is left; the generator has its other trees to copy
            raise DataError(f"{source} has {len(columns)} more columns than events")
    _report(done)
    return done


def require_scorable(config: DataConfig, source: Path, out: Path) -> EventSource:
    """Looks at both files before anything is made for them; gives back the events of `source`.

    Raises DataError if `source` cannot be read as the configuration says, or lacks what the inputs are
    made of; if `out` cannot be written or is `source`; see `require_writable`.
    """
    require_writable(out, source)
    events = EventSource(source, config)
    events.require_inputs()
    return events


def _require_unscored(reader: Reader, classes: tuple[str, ...]) -> None:
    names = {PREFIX + name for name in classes}
    there = sorted(names & (reader.event_columns | reader.particle_columns))
    if there:
        raise DataError(
            f"{reader.path} has the scores {', '.join(there)} already, and a copy would replace them; "
            "score the file that they were added to, or drop these columns"
        )


def _tree_name(reader: Reader) -> str:
    return reader.tree if isinstance(reader, RootReader) else "events"


def _entries(chunk: Chunk) -> int:
    return chunk.size if chunk.per_entry is None else len(chunk.per_entry)


def _scores(
    predict: Predict, contract: InputContract, inputs: Inputs, done: Scored, outputs: int
) -> NDArray[np.float32]:
    """(n, outputs), NaN where an input is not finite; of no event, nothing is asked."""
    raw = inputs.raw
    if not len(raw):
        return np.zeros((0, outputs), np.float32)
    bad = ~np.isfinite(raw).reshape(len(raw), -1).all(axis=1)
    raw[bad] = 0
    done.not_scored += int(bad.sum())
    x = contract.quantize(normalized(contract, raw, inputs.mask))
    scores = np.array(predict(x), np.float32)
    scores[bad] = np.nan
    return scores


def _score_columns(
    scores: NDArray[np.float32],
    classes: tuple[str, ...],
    chunk: Chunk,
    config: DataConfig,
    reader: Reader,
) -> Columns:
    columns: Columns = {
        PREFIX + name: np.ascontiguousarray(scores[:, i]) for i, name in enumerate(classes)
    }
    if chunk.per_entry is None:
        return columns
    prefix = f"{reader.objects}_" if isinstance(reader, RootReader) and reader.objects else ""
    return {prefix + n: ak.unflatten(v, chunk.per_entry) for n, v in columns.items()}


def _rows(events: EventSource, size: int, sink: Sink, done: Scored) -> Generator[Columns]:
    """All columns of the file, chunk by chunk as `events.inputs` has them."""
    reader = events.reader
    if isinstance(reader, ParquetReader):
        done.left_out = reader.others
        yield from reader.copied(size)
        return
    if not isinstance(reader, RootReader):
        yield from _plain_rows(reader, size)
        return
    layout, objects = reader.layout, reader.objects
    like = layout.sizer(objects) if objects else None
    target = sink if isinstance(sink, RootSink) else None
    yield from copied_rows(layout, size, target, done.left_out, f"{objects}_{PREFIX}", like)


def _plain_rows(reader: Reader, size: int) -> Generator[Columns]:
    """Everything that a reader of other formats knows, constituents as lists."""
    request = Request(
        reader.event_columns - reader.aliases,
        reader.particle_columns - reader.aliases,
        label=reader.labelled,
    )
    yield from map(_plain, reader.chunks(request, size))  # map holds no chunk back


def _plain(chunk: Chunk) -> Columns:
    columns: Columns = {n: np.ascontiguousarray(v) for n, v in sorted(chunk.events.items())}
    if chunk.counts is not None:
        columns["npart"] = chunk.counts.astype(np.int32)
        columns |= {
            f"part_{n}": ak.unflatten(v, chunk.counts) for n, v in sorted(chunk.particles.items())
        }
    if chunk.label is not None:
        columns["label"] = chunk.label
    return columns


def _report(done: Scored) -> None:
    if done.not_scored:
        say(
            f"warning: {done.not_scored} of {done.events} events have NaN or infinite inputs; "
            "their scores are NaN"
        )
    if done.left_out:
        shown = ", ".join(done.left_out[:20])
        more = f", … ({len(done.left_out)} in all)" if len(done.left_out) > 20 else ""
        say(f"warning: {done.file} does not hold what has no plain numbers: {shown}{more}")
