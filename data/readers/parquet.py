"""Any parquet table: a row an event, columns of numbers, lists of numbers as constituents.

As awkward-array, pandas and `triggerforge score` write them. A list of records part{pt, eta} gives part_pt
and part_eta. `mapping.columns` and `mapping.constituents` name expressions of columns, as for ROOT.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.expressions import Expression
from triggerforge.data.readers.base import READERS, Chunk, Reader, Request, missing
from triggerforge.data.readers.parquettable import ParquetTable
from triggerforge.errors import DataError

_ROOT_ONLY = ("tree", "objects", "candidates", "links")


class ParquetReader:
    """Reads one table; see the module's docstring.

    Raises DataError if `mapping` names a column that is not there, or asks for what only trees have.
    """

    format = "parquet"
    classes: tuple[str, ...] = ()
    labelled = False

    def __init__(self, path: Path, mapping: MappingConfig, table: ParquetTable) -> None:
        self.path, self._table = path, table
        self.entries = table.entries
        self._events = {n: Expression(t) for n, t in (mapping.columns or {}).items()}
        self._particles = {n: Expression(t) for n, t in (mapping.constituents or {}).items()}
        self.aliases = frozenset(self._events) | frozenset(self._particles)
        for name in _ROOT_ONLY:
            if getattr(mapping, name):
                raise DataError(f"data.mapping.{name} is for ROOT files; {path} is a parquet table")
        for expression in (*self._events.values(), *self._particles.values()):
            for symbol in expression.symbols - table.columns.keys():
                raise missing(path, "column", symbol, frozenset(table.columns))
        own = table.columns.items()
        self.event_columns = frozenset({n for n, c in own if not c.is_list} | self._events.keys())
        self.particle_columns = frozenset({n for n, c in own if c.is_list} | self._particles.keys())

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        events = {n: self._events.get(n) or Expression(n) for n in sorted(request.events)}
        particles = {n: self._particles.get(n) or Expression(n) for n in sorted(request.particles)}
        symbols: frozenset[str] = frozenset().union(
            *(e.symbols for e in (*events.values(), *particles.values()))
        )
        symbols = symbols or frozenset(
            [next(iter(self._table.columns))]
        )  # any: its length is what is needed
        tops = sorted({self._table.columns[s].top for s in symbols})
        first = 0
        for piece in self._table.chunks(tops, size):
            count = len(piece[tops[0]])
            values = {s: self._table.values(s, piece) for s in symbols}
            flat, counts = self._constituents(particles, values, first)
            yield Chunk(
                first=first,
                events={n: self._column(n, e, values, first, count) for n, e in events.items()},
                particles=flat,
                counts=counts,
                size=count,
            )
            first += count
            del piece, values, flat  # or they would stay while the next ones are read

    @property
    def others(self) -> list[str]:
        """Names of the columns that are no numbers, which a copy leaves out."""
        return sorted(self._table.others)

    def copied(self, size: int) -> Iterator[dict[str, Any]]:
        """Every column of numbers or lists under its name, at most `size` rows at a time."""
        columns = self._table.columns
        for piece in self._table.chunks(sorted({c.top for c in columns.values()}), size):
            yield {name: self._table.values(name, piece) for name in columns}
            del piece  # or it would stay while the next one is read

    def _column(
        self, name: str, expression: Expression, values: Mapping[str, Any], first: int, size: int
    ) -> NDArray[Any]:
        found = expression.evaluate(values, first)
        if isinstance(found, ak.Array) and found.ndim > 1:
            raise DataError(
                f"{self.path}: {name!r} has a list for each event; a single number is due. Reduce it "
                "(sum, count, max, first, …) in data.mapping.columns"
            )
        return np.broadcast_to(np.asarray(found), (size,))

    def _constituents(
        self, particles: Mapping[str, Expression], values: Mapping[str, Any], first: int
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64] | None]:
        counts: NDArray[np.int64] | None = None
        flat: dict[str, NDArray[Any]] = {}
        for name, expression in particles.items():
            lists = expression.evaluate(values, first)
            if not isinstance(lists, ak.Array) or lists.ndim != 2:
                raise DataError(f"{self.path}: {name!r} is no list of constituents for each event")
            found = np.asarray(ak.num(lists, axis=1), np.int64)
            if counts is not None and not np.array_equal(found, counts):
                raise DataError(
                    f"{self.path}: {name!r} and {next(iter(flat))!r} have lists of different lengths; "
                    "constituents must come from one collection"
                )
            counts = found
            flat[name] = np.asarray(ak.flatten(lists, axis=1))
        return flat, counts


@READERS.register("parquet")
def open_parquet(path: Path, config: DataConfig) -> Reader:
    """A reader of any parquet table."""
    table = ParquetTable(path)
    table.require_numbers(config)
    return ParquetReader(path, config.mapping, table)
