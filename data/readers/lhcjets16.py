"""The 16-feature form of the hls4ml LHC jet set: OpenML 42468 `hls4ml_lhc_jets_hlf`.

An .arff or .parquet file with the columns zlogz, c1_b0_mmdt, …, mass_mmdt, multiplicity and the
nominal column `class` in {g, q, t, w, z}. Columns are found with and without a leading "j_".
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.readers.base import (
    READERS,
    Chunk,
    Reader,
    Request,
    check_chunk,
    missing,
    reading,
)
from triggerforge.data.readers.lhcjets import LHC_CLASSES
from triggerforge.data.readers.parquettable import MAGIC, ParquetTable
from triggerforge.errors import DataError, did_you_mean

LAYOUT = "the 16-feature LHC jet set"
_MARKS = {"zlogz", "mass_mmdt"}
"""columns that tell this table from others"""
_FIELD_BYTES = 100
"""what a field takes as a text in memory"""
_MAX_LINE = 1 << 20
_MAX_COLUMNS = 10_000


class _Arff:
    """Attribute-relation file: a header of @ATTRIBUTE lines, then comma-separated rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open(encoding="utf-8") as file:
            self.names = self._header(file)
        self.entries = -1

    def _header(self, file: IO[str]) -> list[str]:
        names: list[str] = []
        for _ in range(_MAX_COLUMNS):
            line = file.readline(_MAX_LINE).strip()
            if line[:5].upper() == "@DATA":
                if len(set(names)) != len(names):
                    raise DataError(f"{self._path}: two attributes have the same name; rename one")
                return names
            if line[:10].upper() == "@ATTRIBUTE":
                fields = next(
                    csv.reader([" ".join(line[10:].split())], delimiter=" ", quotechar="'")
                )
                names.append(fields[0].strip('"'))
        raise DataError(f"{self._path}: no @DATA line; it is no ARFF file")

    def chunks(self, names: list[str], size: int) -> Iterator[dict[str, NDArray[Any]]]:
        check_chunk(self._path, _FIELD_BYTES * max(len(self.names), 1), size)
        index = {name: self.names.index(name) for name in names}
        with self._path.open(encoding="utf-8") as file:
            self._header(file)
            rows: list[list[str]] = []
            number = 0
            for row in csv.reader(self._lines(file), quotechar="'", skipinitialspace=True):
                if not row or row[0].startswith("%"):
                    continue
                if len(row) != len(self.names):
                    raise DataError(
                        f"{self._path}: data row {number} has {len(row)} fields, "
                        f"{len(self.names)} are due; the file may be truncated"
                    )
                rows.append(row)
                number += 1
                if len(rows) == size:
                    yield self._columns(rows, index, number - len(rows))
                    rows = []
            if rows:
                yield self._columns(rows, index, number - len(rows))
            if not number:
                raise DataError(f"{self._path} has no data rows; it is the header of a set only")

    def _lines(self, file: IO[str]) -> Iterator[str]:
        while line := file.readline(_MAX_LINE):
            if len(line) == _MAX_LINE:
                raise DataError(
                    f"{self._path}: a line of more than {_MAX_LINE} characters; no ARFF"
                )
            yield line

    def _columns(
        self, rows: list[list[str]], index: dict[str, int], first: int
    ) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {}
        for name, i in index.items():
            texts = np.array([row[i] for row in rows])
            if name == "class":
                columns[name] = texts
                continue
            try:
                columns[name] = np.where(texts == "?", "nan", texts).astype(float)
            except ValueError as error:
                raise DataError(
                    f"{self._path}: column {name!r} in the data rows from {first} on: {error}"
                ) from error
        return columns


class _Parquet:
    """A parquet file, batch by batch."""

    def __init__(self, table: ParquetTable) -> None:
        self._table = table
        self.entries = table.entries
        numbers = [name for name, column in table.columns.items() if not column.is_list]
        self.names = numbers + [name for name in table.others if name == "class"]

    def chunks(self, names: list[str], size: int) -> Iterator[dict[str, NDArray[Any]]]:
        for piece in self._table.chunks(names, size):
            yield {
                name: piece[name].to_numpy(zero_copy_only=False)
                if name == "class"
                else self._table.values(name, piece)
                for name in names
            }


def is_table_of(names: list[str]) -> bool:
    """Whether a table with these columns is a form of this set."""
    return {name.removeprefix("j_") for name in names} >= _MARKS


class LhcJets16Reader:
    """Reads one file of the set; see the module's docstring for its layout."""

    format = "lhcjets16"
    classes: tuple[str, ...] = LHC_CLASSES
    particle_columns: frozenset[str] = frozenset()

    def __init__(self, path: Path, config: DataConfig) -> None:
        self.path = path
        with reading(path, LAYOUT):
            self._table = _table(path, config)
        self.entries = self._table.entries
        self.labelled = "class" in self._table.names
        plain = [n for n in self._table.names if n != "class"]
        self._names = {"j_" + n.removeprefix("j_"): n for n in plain} | {n: n for n in plain}
        self.event_columns = frozenset(self._names)
        self.aliases = frozenset(self._names) - frozenset(plain)

    def chunks(self, request: Request, size: int) -> Iterator[Chunk]:
        """See Reader."""
        if request.label and not self.labelled:
            raise missing(self.path, "column", "class", frozenset(self._table.names))
        labels = {"class"} if request.label else set()
        needed = sorted({self._names[n] for n in request.events} | labels)
        first = 0
        with reading(self.path, LAYOUT):
            for columns in self._table.chunks(needed, size):
                count = len(columns[needed[0]])
                yield Chunk(
                    first=first,
                    events={n: columns[self._names[n]] for n in request.events},
                    label=self._labels(columns["class"], first) if request.label else None,
                    size=count,
                )
                first += count

    def _labels(self, names: NDArray[Any], first: int) -> NDArray[np.int64]:
        label = np.full(len(names), -1, np.int64)
        texts = np.array([n.decode() if isinstance(n, bytes) else str(n) for n in names])
        for i, name in enumerate(LHC_CLASSES):
            label[texts == name] = i
        if (label < 0).any():
            at = int((label < 0).argmax())
            raise DataError(
                f"{self.path}: {int((label < 0).sum())} labels are no class, the first is "
                f"{str(texts[at])!r} in entry {first + at}; "
                f"{did_you_mean(str(texts[at]), LHC_CLASSES)}"
            )
        return label


def _table(path: Path, config: DataConfig) -> "_Arff | _Parquet":
    with path.open("rb") as file:
        is_parquet = file.read(4) == MAGIC or path.suffix == ".parquet"
    if not is_parquet:
        return _Arff(path)
    table = ParquetTable(path)
    table.require_numbers(config)
    return _Parquet(table)


@READERS.register("lhcjets16")
def open_lhcjets16(path: Path, config: DataConfig) -> Reader:
    """A reader of the 16-feature LHC jet set."""
    return LhcJets16Reader(path, config)
