"""Chunks written to one ROOT file, a part at a time, whole or not at all."""

from collections.abc import Iterable
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

    In memory at one time: one part. Raises DataError if the disk is full.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with uproot.recreate(temporary) as file:
            for name, text in strings.items():
                file[name] = text
            target = None
            for part in parts:
                if target is None:
                    target = file.mktree(tree, {n: _type(a) for n, a in part.items()})
                target.extend(part)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"cannot write {path}: {error.strerror}; make room and run again: "
            "finished chunks are kept"
        ) from error
    temporary.replace(path)


def _type(array: Any) -> Any:
    if isinstance(array, ak.Array):
        return array.type.content
    return array.dtype if array.ndim == 1 else np.dtype((array.dtype, array.shape[1:]))


def joined(chunks: list[Columns]) -> Columns:
    """The columns of all chunks, end to end."""
    return {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
