"""Frames that `DataFrame.to_hdf` wrote, without pandas.

pandas and PyTables unpickle attributes of a file, which runs whatever code the file holds. Here the
names of columns are taken from a pickle of nothing but texts and numbers.
"""

import pickle
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.readers.hdf5 import (
    NUMBERS,
    TABLE,
    attribute,
    child,
    children,
    dataset,
    rows,
    texts,
)
from triggerforge.errors import DataError

_PLAIN = frozenset(
    [
        *("PROTO", "FRAME", "MARK", "POP", "STOP", "NONE", "NEWTRUE", "NEWFALSE"),
        *("LIST", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("TUPLE", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
        *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    ]
)
"""The pickle operations that build lists of texts and numbers: none imports, calls or hashes."""
_MOST_BLOCKS = 64


def plain_names(content: bytes, where: str) -> list[str] | None:
    """The names in a pickled list of texts or numbers; None where the pickle is no list.

    Raises DataError, which begins with `where`, if it holds anything else: a class, a list within the
    list.
    """
    try:
        _require_plain(content)
        names = pickle.loads(content, encoding="utf-8")
    except Exception as error:
        raise DataError(f"{where}: column names are not a plain list: {error}") from error
    if not isinstance(names, list):
        return None
    for name in names:
        if not isinstance(name, str | bytes | int | float):
            raise DataError(
                f"{where}: column names are not a plain list: one is of type {type(name).__name__}"
            )
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]


def _require_plain(content: bytes) -> None:
    """Raises ValueError unless the pickle has plain operations alone, and no place past its length."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in ("GLOBAL", "INST"):
            raise ValueError(f"an attribute asks for {str(argument).replace(' ', '.')}")
        if operation.name not in _PLAIN:
            raise ValueError(f"the pickle operation {operation.name} is not allowed")
        if "PUT" in operation.name and int(argument or 0) > len(content):
            raise ValueError(f"a pickle of {len(content)} bytes has no place {argument}")


def frames(file: h5py.File) -> dict[str, bytes]:
    """name -> kind of the frames in a file: b"frame" (fixed layout) or b"frame_table"."""
    kinds = {name: attribute(found, "pandas_type") for name, found in children(file)}
    return {name: kind for name, kind in kinds.items() if kind is not None}


class PandasTable:
    """A frame in its "table" or its "fixed" layout.

    Raises DataError if `file` holds no such frame under `key`, or more than one where no key is given.
    """

    def __init__(self, file: h5py.File, path: Path, key: str | None = None) -> None:
        self.path = path
        if key is None:
            found = list(frames(file))
            if len(found) != 1:
                raise DataError(f"{path} holds {len(found)} pandas frames {found[:5]}; one is due")
            key = found[0]
        group = child(file, key)
        if not isinstance(group, h5py.Group):
            raise DataError(f"{path}: {key!r} is no pandas frame")
        self._blocks: list[tuple[h5py.Dataset, str | None, list[str]]] = []
        if child(group, "table") is not None:
            self._open_table(file, f"{group.name}/table")
        else:
            self._open_fixed(file, group)
        self.entries = int(self._blocks[0][0].shape[0])
        names = [name for _, _, names in self._blocks for name in names]
        self.columns = frozenset(names)
        lengths = {int(data.shape[0]) for data, _, _ in self._blocks}
        if len(names) != len(self.columns) or len(lengths) != 1:
            raise DataError(
                f"{path}: {group.name} has {len(names)} columns of {len(self.columns)} names, and "
                f"blocks of {sorted(lengths)} rows; the file is damaged"
            )

    def _open_table(self, file: h5py.File, name: str) -> None:
        table = dataset(file, self.path, name, kinds=TABLE)
        for field in table.dtype.names or ():
            if field == "index" or table.dtype[field].base.kind not in NUMBERS:
                continue
            kind = attribute(table, f"{field}_kind")
            where = f"{self.path}, {name}, {field}"
            names = None if kind is None else plain_names(kind, where)
            names = [field] if names is None else names
            width = int(np.prod(table.dtype[field].shape, dtype=np.int64))
            if len(names) != width:
                raise DataError(f"{self.path}: {field} has {width} columns, {len(names)} names")
            self._blocks.append((table, field, names))
        if not self._blocks:
            raise DataError(f"{self.path}: {name} is no pandas table")

    def _open_fixed(self, file: h5py.File, group: h5py.Group) -> None:
        for i in range(_MOST_BLOCKS):
            if child(group, f"block{i}_values") is None:
                break
            values = dataset(file, self.path, f"{group.name}/block{i}_values")
            names = texts(file, self.path, f"{group.name}/block{i}_items")
            if values.ndim != 2 or values.shape[1] != len(names):
                raise DataError(f"{self.path}: block {i} is {values.shape} for {len(names)} names")
            self._blocks.append((values, None, names))
        if not self._blocks:
            raise DataError(f"{self.path}: {group.name} is no pandas frame")

    def chunks(self, size: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """(first row, column name -> (n,)) over the table; columns are views, not copies."""
        datasets = {id(d): rows(d, self.path, size) for d, _, _ in self._blocks}
        for first in range(0, self.entries, size):
            read = {key: next(pieces)[1] for key, pieces in datasets.items()}
            columns: dict[str, NDArray[Any]] = {}
            for data, field, names in self._blocks:
                block = read[id(data)] if field is None else read[id(data)][field]
                block = block.reshape(len(block), -1)
                columns |= {name: block[:, i] for i, name in enumerate(names)}
            yield first, columns
            del read, columns, block  # or they would stay while the next ones are read
