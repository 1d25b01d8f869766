"""HDF5 of a model file, looked over before anything of it is read.

An HDF5 file can name data outside itself (external storage, external links, virtual datasets), claim
sizes that it does not hold, and leave out what it claims, which then reads as zeros. A model file does
none of that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import h5py
import numpy as np

from triggerforge.errors import ArtifactError

_MAX_BYTES = 2**28
"""of all datasets together, and of one chunk"""
_MAX_OBJECTS = 50_000
_MAX_ATTRIBUTE = 2**24
_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
}
_OF_HDF5 = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError)
"""what h5py raises for content that it cannot make sense of"""


@contextmanager
def checked_hdf5(content: bytes, where: str) -> Iterator[h5py.File]:
    """The open file of these bytes; every group and dataset in it has been looked at.

    Raises ArtifactError, which begins with `where`, for a file that reads outside itself, claims more
    than 256 MB or data that were never written, or cannot be read; errors of HDF5 inside the block too.
    """
    try:
        with h5py.File(BytesIO(content), "r") as file:
            _look_over(file, where)
            yield file
    except _OF_HDF5 as error:
        raise ArtifactError(
            f"{where} is damaged: {first_line(error)}; save the model again"
        ) from error


def first_line(error: BaseException, words: str = "") -> str:
    """Kind and first words of an error that is not ours (of `words`, its last ones), in one line."""
    lines = (words or str(error)).strip().splitlines() or [""]
    told = lines[0] if len(lines[0]) <= 200 else lines[0][:200] + "…"
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def _look_over(file: h5py.File, where: str) -> None:
    claimed = 0
    for name, item in _objects(file, where):
        _require_small_attributes(item, f"{where}: {name!r}")
        if isinstance(item, h5py.Dataset):
            claimed += _claimed(item, f"{where}: {name!r}")
            if claimed > _MAX_BYTES:
                raise ArtifactError(
                    f"{where} claims more than {_MAX_BYTES} bytes of weights; that is no model for a trigger"
                )


def _objects(file: h5py.File, where: str) -> Iterator[tuple[str, Any]]:
    """Every group and dataset, each once; links to elsewhere are refused."""
    waiting: list[tuple[str, Any]] = [("/", file)]
    seen: set[Any] = set()
    while waiting:
        name, item = waiting.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        if len(seen) > _MAX_OBJECTS:
            raise ArtifactError(f"{where} holds more than {_MAX_OBJECTS} objects; that is no model")
        yield name, item
        if isinstance(item, h5py.Group):
            for key in item:
                link = item.get(key, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    raise ArtifactError(
                        f"{where}: {name.rstrip('/')}/{key} is a {type(link).__name__} to elsewhere, "
                        "which is not followed; save the model again, in one file"
                    )
                waiting.append((f"{name.rstrip('/')}/{key}", item[key]))


def _require_small_attributes(item: Any, where: str) -> None:
    for key in item.attrs:
        held = item.attrs.get_id(key)
        size = int(np.prod(held.shape or (), dtype=object)) * held.dtype.itemsize
        if size > _MAX_ATTRIBUTE:
            raise ArtifactError(f"{where}: attribute {key!r} of {size} bytes; that is no model")


def _claimed(item: h5py.Dataset, where: str) -> int:
    """Bytes that a dataset says it has; raises ArtifactError where it has not, or has them elsewhere."""
    if item.external or item.is_virtual:
        kind = "a virtual dataset" if item.is_virtual else "external storage"
        raise ArtifactError(
            f"{where} is {kind}: its numbers lie in other files, which are not read; save the model "
            "again, in one file"
        )
    if item.dtype.kind not in "biufS" or item.shape is None:
        raise ArtifactError(
            f"{where} holds {item.dtype}, a weight is a number; save the model again"
        )
    size = int(np.prod(item.shape, dtype=object)) * int(item.dtype.itemsize)
    if item.chunks is not None:
        _require_whole_chunks(item, where)
    if size and not item.id.get_storage_size():
        raise ArtifactError(f"{where} was never written: its {size} bytes would read as zeros")
    return size


def _require_whole_chunks(item: h5py.Dataset, where: str) -> None:
    chunk = int(np.prod(item.chunks, dtype=object)) * item.dtype.itemsize
    if chunk > _MAX_BYTES:
        raise ArtifactError(f"{where} has chunks of {chunk} bytes; that is no model")
    created = item.id.get_create_plist()
    filters = {created.get_filter(i)[0] for i in range(created.get_nfilters())}
    if not filters <= _FILTERS:
        raise ArtifactError(
            f"{where} is packed by filter {min(filters - _FILTERS)}; save the model again, packed by "
            "gzip or not at all"
        )
    grid = zip(item.shape, item.chunks, strict=True)
    wanted = int(np.prod([-(-size // part) for size, part in grid], dtype=object))
    if item.id.get_num_chunks() < wanted:
        raise ArtifactError(
            f"{where}: {wanted - item.id.get_num_chunks()} of its {wanted} chunks were never written "
            "and would read as zeros; save the model again"
        )
