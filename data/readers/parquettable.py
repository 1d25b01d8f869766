"""Columns of a parquet file, batch by batch: numbers, and lists of numbers."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.expressions import Expression
from triggerforge.data.readers.base import check_chunk, reading
from triggerforge.errors import DataError

MAGIC = b"PAR1"
LAYOUT = "parquet"
_LONGEST_TEXT = 2**24
"""bytes and entries that the footer may claim for any of its parts"""


@dataclass(frozen=True)
class Column:
    """A column as expressions name it."""

    top: str
    """the file's own column, which is read for it"""
    field: str | None = None
    """the field of a list of records, where it is one"""
    is_list: bool = False


class ParquetTable:
    """One parquet file.

    Raises DataError if it is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with reading(path, LAYOUT), closing(_file(path)) as file:
            schema, metadata = file.schema_arrow, file.metadata
            self.entries = int(metadata.num_rows)
            self.names = [str(name) for name in schema.names]
            if len(set(self.names)) != len(self.names):
                raise DataError(f"{path}: two columns have the same name; rename one")
            self.columns: dict[str, Column] = {}
            self.others: dict[str, str] = {}
            """name -> type of the columns that are no numbers"""
            for field in schema:
                found = dict(_columns(field))
                self.columns |= found
                if not found:
                    self.others[field.name] = str(field.type)
            self._bytes = _row_bytes(metadata)

    def require_numbers(self, config: DataConfig) -> None:
        """Raises DataError if the configuration asks for a column that is no number."""
        for name in sorted(_asked(config) & self.others.keys()):
            raise DataError(
                f"{self._path}: column {name!r} is of type {self.others[name]}; numbers, booleans and "
                "lists of them are read: convert it, or leave it out"
            )

    def chunks(self, tops: list[str], size: int) -> Iterator[dict[str, Any]]:
        """Name -> arrow array of the file's own columns `tops`, at most `size` rows at a time."""
        load = sum(self._bytes.get(name, 0.0) for name in tops)
        check_chunk(self._path, max(load, 1.0), min(size, max(self.entries, 1)))
        with reading(self._path, LAYOUT), closing(_file(self._path)) as file:
            for batch in file.iter_batches(size, columns=tops, use_threads=False):
                yield {name: batch.column(name) for name in tops}
                del batch  # or it would stay while the next one is read

    def values(self, name: str, piece: Mapping[str, Any]) -> Any:
        """(n,) numbers, or an awkward array of n lists of them; NaN where a number is missing."""
        column = self.columns[name]
        array = piece[column.top]
        if not column.is_list:
            return _numbers(array)
        if array.null_count:
            raise DataError(
                f"{self._path}: {array.null_count} lists of {column.top!r} are missing (null); write "
                "empty lists"
            )
        counts = np.asarray(array.value_lengths().to_numpy(zero_copy_only=False), np.int64)
        inner = array.flatten()
        if column.field is not None:
            inner = inner.flatten()[inner.type.get_field_index(column.field)]
        return ak.unflatten(_numbers(inner), counts)


def _file(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        pre_buffer=False,
        thrift_string_size_limit=_LONGEST_TEXT,
        thrift_container_size_limit=_LONGEST_TEXT,
    )


def _columns(field: pa.Field) -> Iterator[tuple[str, Column]]:
    kind = field.type
    if _is_number(kind):
        yield field.name, Column(field.name)
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        inner = kind.value_type
        if _is_number(inner):
            yield field.name, Column(field.name, is_list=True)
        elif pa.types.is_struct(inner):
            for part in inner:
                if _is_number(part.type):
                    yield f"{field.name}_{part.name}", Column(field.name, part.name, is_list=True)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )


def _numbers(array: Any) -> NDArray[Any]:
    if array.null_count:
        array = array.cast(pa.float64())
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values


def _row_bytes(metadata: Any) -> dict[str, float]:
    """Top column -> bytes of a row, unpacked, as the footer has it."""
    total: dict[str, float] = {}
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for column in (group.column(i) for i in range(group.num_columns)):
            top = column.path_in_schema.split(".")[0]
            total[top] = total.get(top, 0.0) + max(column.total_uncompressed_size, 0)
    return {name: size / max(metadata.num_rows, 1) for name, size in total.items()}


def _asked(config: DataConfig) -> frozenset[str]:
    """The symbols of every expression in the configuration."""
    label = config.label
    labels = list(label.values()) if isinstance(label, dict) else [label]
    mapping = [*(config.mapping.columns or {}).values()]
    mapping += [*(config.mapping.constituents or {}).values()]
    texts = [*config.inputs.names, config.selection, config.weights, config.together, *labels]
    texts += [*(config.observables or ()), *mapping]
    return frozenset().union(*(Expression(text).symbols for text in texts if text))
