"""HDF5 for the readers: nothing outside the file is read, rows come in bounded pieces.

A name is followed link by link: HDF5 itself would open another file without a word. What a dataset
claims is checked before memory is taken, and rows that nobody wrote, which HDF5 gives as zeros, are an
error. Chunks compressed by Blosc, which h5py has no filter for, are unpacked by the `blosc2` package.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.readers.base import MAX_CHUNK_BYTES, check_chunk, reading
from triggerforge.errors import DataError, MissingToolError, did_you_mean

_BLOSC = 32001
_FILTERS = {  # registered filters of The HDF Group
    305: "LZO",
    307: "bzip2",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32026: "Blosc2",
}
_SMALL = 2**24
"""bytes: names, labels of columns, attributes"""
_CACHE = 2**20
"""bytes: HDF5's own cache of chunks"""
_MOST_LINKS = 32
NUMBERS, TEXTS, TABLE = "fiub", "fiubSO", "V"
"""Kinds of numpy types that a dataset may hold."""
_KINDS = {NUMBERS: "numbers", TEXTS: "names", TABLE: "rows of a table"}


@contextmanager
def opened(path: Path, layout: str) -> Iterator[h5py.File]:
    """The file, open for reading; whatever HDF5 raises in the block is a DataError that names it."""
    with reading(path, layout), h5py.File(path, "r", locking="best-effort") as file:
        yield file


def child(group: h5py.Group, name: str) -> Any:
    """The group or dataset `name` in `group`, None where there is none.

    Raises DataError if a link on the way leads to another file, or in circles.
    """
    for _ in range(_MOST_LINKS):
        first, _, rest = name.strip("/").partition("/")
        if not first:
            return group
        link = group.get(first, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise DataError(
                f"{group.file.filename}: {first!r} is a link to the file {link.filename!r}; name that "
                "file as the source, or copy the data into this one"
            )
        if isinstance(link, h5py.SoftLink):
            group = group.file if link.path.startswith("/") else group
            name = f"{link.path}/{rest}"
            continue
        found = None if link is None else group[first]
        if not rest or not isinstance(found, h5py.Group):
            return None if rest else found
        group, name = found, rest
    raise DataError(f"{group.file.filename}: the links of {name!r} lead in circles; mend the file")


def children(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """(name, group or dataset) of all that is in `group`; links to other files are left out."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            found = child(group, name)
            if found is not None:
                yield name, found


def attribute(found: Any, name: str) -> bytes | None:
    """A text attribute as bytes; None where there is none or it is no text.

    Raises DataError if it claims more than a name can take.
    """
    if name not in found.attrs:
        return None
    claimed = int(found.attrs.get_id(name).get_storage_size())
    if claimed > _SMALL:
        raise DataError(
            f"{found.file.filename}: attribute {name!r} of {found.name!r} claims {claimed} bytes; the "
            "file is damaged"
        )
    value = found.attrs[name]
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None


def dataset(file: h5py.File, path: Path, name: str, kinds: str = NUMBERS) -> h5py.Dataset:
    """The dataset `name`, of `kinds`, checked before any of it is read.

    Raises DataError if there is none; if it lies in another file; if it holds other things; if
    its chunks or rows claim too much; if rows were never written.
    """
    found = child(file, name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path} has no dataset {name!r}; {did_you_mean(name, _names(file))}")
    _require_inside(found, path)
    _require_kinds(found, path, kinds)
    _require_small(found, path)
    _require_written(found, path)
    return _with_cache(found)


def row_bytes(data: h5py.Dataset) -> float:
    """Bytes of one row."""
    return float(data.dtype.itemsize * np.prod(data.shape[1:], dtype=np.float64))


def rows(data: h5py.Dataset, path: Path, size: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """(first row, at most `size` rows) over the whole dataset, in order."""
    total = int(data.shape[0])
    check_chunk(path, row_bytes(data), min(size, total))
    where = f"HDF5, dataset {data.name!r}"
    with reading(path, where):
        pieces = _blosc_rows(data, size) if _filter(data) == _BLOSC else _plain_rows(data, size)
        for first, piece in pieces:
            yield first, piece
            del piece  # or it would stay while the next one is read


def texts(file: h5py.File, path: Path, name: str) -> list[str]:
    """The entries of a small dataset of names, or of numbers that serve as names."""
    found = dataset(file, path, name, kinds=TEXTS)
    if row_bytes(found) * found.shape[0] > _SMALL:
        raise DataError(
            f"{path}: dataset {name!r} claims {found.shape[0]} names; a list of names is due"
        )
    values = [v for _, piece in rows(found, path, max(len(found), 1)) for v in piece.reshape(-1)]
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _names(file: h5py.File) -> list[str]:
    """Names in the file and one level below, for an error message."""
    names: list[str] = []
    for name, found in children(file):
        names.append(name)
        if isinstance(found, h5py.Group):
            names += [f"{name}/{inner}" for inner in list(found)[:100]]
        if len(names) > 200:
            break
    return names


def _require_inside(data: h5py.Dataset, path: Path) -> None:
    if data.external:
        outside = data.external[0][0]
    elif data.is_virtual:
        sources = [source.file_name for source in data.virtual_sources()]
        outside = next((name for name in sources if name != "."), "itself")
    else:
        return
    there = outside == "itself" or (path.parent / outside).exists()
    raise DataError(
        f"{path}: dataset {data.name!r} holds no data, it points to {outside!r}"
        f"{'' if there else ', which is not there'}; name the files with the data as the sources, or "
        "copy them into one dataset"
    )


def _require_kinds(data: h5py.Dataset, path: Path, kinds: str) -> None:
    is_text = h5py.check_string_dtype(data.dtype) is not None
    pointers = data.dtype.hasobject and not is_text
    if data.dtype.kind not in kinds or pointers:
        raise DataError(
            f"{path}: dataset {data.name!r} holds {data.dtype}, {_KINDS[kinds]} are due; write it with a "
            "plain type"
        )
    if data.shape is None or data.ndim == 0:
        raise DataError(f"{path}: dataset {data.name!r} is no array; a row for each event is due")


def _require_small(data: h5py.Dataset, path: Path) -> None:
    """HDF5 unpacks whole chunks, whatever part of them is wanted."""
    check_chunk(path, row_bytes(data), 1)
    piece = data.dtype.itemsize * int(np.prod(data.chunks or (1,), dtype=np.float64))
    if piece > MAX_CHUNK_BYTES:
        raise DataError(
            f"{path}: dataset {data.name!r} is stored in chunks of {piece} bytes, "
            f"{MAX_CHUNK_BYTES / 2**20:g} MiB are allowed; rewrite it with smaller ones (h5repack -l "
            f"{data.name}:CHUNK=…)"
        )


def _require_written(data: h5py.Dataset, path: Path) -> None:
    """Raises DataError where HDF5 would make up rows: nothing was ever stored for them.

    A band of chunks of which some are there is left: padding is often not written.
    """
    if data.size == 0 or data.id.get_create_plist().get_layout() == h5py.h5d.COMPACT:
        return
    if data.chunks is None:
        if data.id.get_storage_size() < data.size * data.dtype.itemsize:
            raise _never_written(data, path, 0, int(data.shape[0]))
        return
    height = int(data.chunks[0])
    bands = -(-int(data.shape[0]) // height)
    across = [-(-n // c) for n, c in zip(data.shape[1:], data.chunks[1:], strict=True)]
    if data.id.get_num_chunks() == bands * int(np.prod(across, dtype=np.float64)):
        return
    there: set[int] = set()
    data.id.chunk_iter(lambda stored: there.add(stored.chunk_offset[0] // height))
    if len(there) < bands:
        gap = next(band for band in range(bands) if band not in there)
        raise _never_written(data, path, gap * height, (bands - len(there)) * height)


def _never_written(data: h5py.Dataset, path: Path, first: int, count: int) -> DataError:
    return DataError(
        f"{path}: dataset {data.name!r} claims {data.shape[0]} rows, of which about {count} were never "
        f"written, from row {first} on; HDF5 would give zeros for them: the writing was interrupted, "
        "make the file again"
    )


def _with_cache(data: h5py.Dataset) -> h5py.Dataset:
    """The same, with a cache that holds a band of its chunks: none is unpacked twice."""
    if data.chunks is None:
        return data
    band = int(data.chunks[0] * row_bytes(data))
    if not _CACHE < band <= MAX_CHUNK_BYTES:
        return data
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(521, band, 1.0)
    return h5py.Dataset(h5py.h5d.open(data.file.id, h5py.h5i.get_name(data.id), access))


def _filter(data: h5py.Dataset) -> int | None:
    plist = data.id.get_create_plist()
    codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    known = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    odd = [c for c in codes if c not in known and not h5py.h5z.filter_avail(c)]
    if not odd:
        return None
    if odd == [_BLOSC] and len(codes) == 1:
        return _BLOSC
    name = f"filter {odd[0]} ({_FILTERS.get(odd[0], 'unknown')})"
    raise MissingToolError(
        f"{data.file.filename}: dataset {data.name!r} is compressed by HDF5 {name}, which is not read "
        "here; rewrite the file with h5repack -f GZIP=1"
    )


def _plain_rows(data: h5py.Dataset, size: int) -> Iterator[tuple[int, NDArray[Any]]]:
    for first in range(0, int(data.shape[0]), size):
        yield first, data[first : first + size]


def _blosc_rows(data: h5py.Dataset, size: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Rows of a dataset whose chunks Blosc compressed; each chunk is unpacked once."""
    if data.chunks[1:] != data.shape[1:]:
        raise DataError(
            f"{data.file.filename}: dataset {data.name!r} has Blosc chunks that part a row; rewrite "
            "the file with h5repack -f GZIP=1"
        )
    total, height = int(data.shape[0]), int(data.chunks[0])
    at, chunk = -1, np.empty(0)
    for first in range(0, total, size):
        last = min(first + size, total)
        pieces = []
        for start in range(first - first % height, last, height):
            if start != at:
                at, chunk = start, _unpacked(data, start)
            pieces.append(chunk[max(first - start, 0) : last - start])
        yield first, np.concatenate(pieces)


def _unpacked(data: h5py.Dataset, start: int) -> NDArray[Any]:
    """The chunk that begins with row `start`."""
    import blosc2  # type: ignore[import-untyped]

    expected = data.dtype.itemsize * int(np.prod(data.chunks))
    mask, packed = data.id.read_direct_chunk((start, *([0] * (data.ndim - 1))))
    unpacked, stored, _ = blosc2.get_cbuffer_sizes(packed) if not mask else (len(packed), 0, 0)
    if unpacked != expected or stored > len(packed):
        raise DataError(
            f"{data.file.filename}: the chunk of {data.name!r} at row {start} claims {unpacked} bytes "
            f"of {stored} packed ones, {expected} of {len(packed)} are there; the file is damaged"
        )
    content = packed if mask else blosc2.decompress(packed)
    return np.frombuffer(content, data.dtype).reshape(data.chunks)
