"""HDF5 for the readers: rows in bounded pieces, pandas tables without pandas.

pandas and PyTables unpickle attributes of a file, which runs whatever code the file holds. Here the
names of columns are unpickled with every class forbidden, and rows are read with h5py. Chunks
compressed by Blosc, which h5py has no filter for, are unpacked by the `blosc2` package.
"""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.readers.base import MAX_CHUNK_BYTES, check_chunk
from triggerforge.errors import DataError, MissingToolError, did_you_mean

_BLOSC = 32001  # registered filter of The HDF Group


class _PlainUnpickler(pickle.Unpickler):
    """Lists, tuples, dicts, strings and numbers; anything with a class is an error."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"an attribute asks for {module}.{name}")


def plain_unpickle(content: bytes) -> Any:
    """The list or string in a pickle of one; raises DataError if it holds any class."""
    try:
        return _PlainUnpickler(io.BytesIO(bytes(content)), encoding="utf-8").load()
    except Exception as error:
        raise DataError(f"column names are not a plain list: {error}") from error


def dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    """The dataset `name`; raises DataError if there is none, or its chunks claim too much."""
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        names: list[str] = []
        file.visit(lambda item: names.append(item) if len(names) < 200 else None)
        raise DataError(f"{path} has no dataset {name!r}; {did_you_mean(name, names)}")
    piece = found.dtype.itemsize * int(np.prod(found.chunks or (1,), dtype=np.float64))
    check_chunk(path, max(piece, found.dtype.itemsize * _row_items(found)), 1)
    return found


def rows(data: h5py.Dataset, path: Path, size: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """(first row, at most `size` rows) over the whole dataset, in order."""
    total = int(data.shape[0])
    check_chunk(path, data.dtype.itemsize * _row_items(data), min(size, total))
    blosc = _filter(data) == _BLOSC
    for first in range(0, total, size):
        last = min(first + size, total)
        yield first, _unpack(data, first, last) if blosc else data[first:last]


def _row_items(data: h5py.Dataset) -> float:
    return float(np.prod(data.shape[1:], dtype=np.float64))


def _filter(data: h5py.Dataset) -> int | None:
    plist = data.id.get_create_plist()
    codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    known = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    odd = [c for c in codes if c not in known and not h5py.h5z.filter_avail(c)]
    if not odd:
        return None
    if odd == [_BLOSC] and len(codes) == 1:
        return _BLOSC
    raise MissingToolError(
        f"{data.file.filename}: compressed by HDF5 filter {odd[0]}, which is not installed; rewrite "
        "the file with h5repack -f GZIP=1"
    )


def _unpack(data: h5py.Dataset, first: int, last: int) -> NDArray[Any]:
    """Rows of a dataset whose chunks Blosc compressed."""
    import blosc2  # type: ignore[import-untyped]

    height = int(data.chunks[0])
    if data.chunks[1:] != data.shape[1:]:
        raise DataError(f"{data.file.filename}: Blosc chunks that part a row are not supported")
    expected = data.dtype.itemsize * int(np.prod(data.chunks))
    pieces = []
    for start in range(first - first % height, last, height):
        corner = (start, *([0] * (data.ndim - 1)))
        mask, packed = data.id.read_direct_chunk(corner)
        unpacked, _, _ = blosc2.get_cbuffer_sizes(packed) if not mask else (len(packed), 0, 0)
        if unpacked != expected or unpacked > MAX_CHUNK_BYTES:
            raise DataError(
                f"{data.file.filename}: a chunk claims {unpacked} bytes, {expected} are due"
            )
        content = packed if mask else blosc2.decompress(packed)
        piece = np.frombuffer(content, data.dtype).reshape(data.chunks)
        pieces.append(piece[max(first - start, 0) : last - start])
    return np.concatenate(pieces)


class PandasTable:
    """A frame that `DataFrame.to_hdf` wrote, in its "table" or its "fixed" layout.

    Raises DataError if `file` holds no such frame under `key`.
    """

    def __init__(self, file: h5py.File, path: Path, key: str | None = None) -> None:
        self.path = path
        frames = [k for k in file if "pandas_type" in file[k].attrs]
        if key is None and len(frames) != 1:
            raise DataError(f"{path} holds {len(frames)} pandas frames {frames[:5]}; one is due")
        group = file[key or frames[0]]
        self._blocks: list[tuple[h5py.Dataset, str | None, list[str]]] = []
        if "table" in group:
            self._open_table(file, f"{group.name}/table")
        else:
            self._open_fixed(file, group)
        self.entries = int(self._blocks[0][0].shape[0])
        self.columns = frozenset(name for _, _, names in self._blocks for name in names)

    def _open_table(self, file: h5py.File, name: str) -> None:
        table = dataset(file, self.path, name)
        for field in table.dtype.names or ():
            if field == "index":
                continue
            kind = table.attrs.get(f"{field}_kind")
            names = plain_unpickle(kind) if isinstance(kind, bytes) else [field]
            if not isinstance(names, list):
                names = [field]
            width = int(np.prod(table.dtype[field].shape, dtype=np.int64))
            if len(names) != width:
                raise DataError(f"{self.path}: {field} has {width} columns, {len(names)} names")
            self._blocks.append((table, field, [str(n) for n in names]))
        if not self._blocks:
            raise DataError(f"{self.path}: {name} is no pandas table")

    def _open_fixed(self, file: h5py.File, group: h5py.Group) -> None:
        for i in range(64):
            if f"block{i}_values" not in group:
                break
            values = dataset(file, self.path, f"{group.name}/block{i}_values")
            items = dataset(file, self.path, f"{group.name}/block{i}_items")
            names = [n.decode() if isinstance(n, bytes) else str(n) for n in items[:]]
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
