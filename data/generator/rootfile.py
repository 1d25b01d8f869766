"""Chunks written to one ROOT file, a part at a time, whole or not at all; the same events, the same bytes.

A ROOT file holds the times of its making and a random identity (UUID). Here they are a fixed date and a
hash of all that the file holds: uproot keeps arrays by that identity.
"""

import hashlib
import mmap
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from triggerforge.data.generator.sample import Columns
from triggerforge.errors import DataError

Branches = dict[str, Any]
"""name -> numpy array (N, …) or awkward array"""


def write_tree(path: Path, tree: str, strings: dict[str, str], parts: Iterable[Branches]) -> None:
    """Writes `parts`, one after the other, as `tree`, and `strings` by name beside it.

    Equal parts, cut at the same places, give an equal file.

    In memory at one time: one part. Raises DataError if the disk is full.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with _undated(), uproot.recreate(temporary, uuid_function=lambda: _UNNAMED) as file:
            for name, text in strings.items():
                file[name] = text
            target = None
            for part in parts:
                if target is None:
                    target = file.mktree(tree, {n: _type(a) for n, a in part.items()})
                target.extend(part)
        _name_by_contents(temporary)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"cannot write {path}: {error.strerror}; make room and run again: "
            "finished chunks are kept"
        ) from error
    temporary.replace(path)


@contextmanager
def _undated() -> Iterator[None]:
    """uproot writes 1995-01-01, the first day that a ROOT file can name, for every time."""
    dated = uproot._util.datetime_to_code
    uproot._util.datetime_to_code = lambda when: (1 << 22) | (1 << 17)
    try:
        yield
    finally:
        uproot._util.datetime_to_code = dated


_UNNAMED = uuid.uuid5(uuid.NAMESPACE_URL, "triggerforge: a file that is being written")


def _name_by_contents(path: Path) -> None:
    """Puts a hash of the file in every place of the provisional identity."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        name = uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=5).bytes
        place = content.find(_UNNAMED.bytes)
        while place >= 0:
            content[place : place + len(name)] = name
            place = content.find(_UNNAMED.bytes, place + len(name))


def _type(array: Any) -> Any:
    if isinstance(array, ak.Array):
        return array.type.content
    return array.dtype if array.ndim == 1 else np.dtype((array.dtype, array.shape[1:]))


def joined(chunks: list[Columns]) -> Columns:
    """The columns of all chunks, end to end."""
    return {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
