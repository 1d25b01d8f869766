"""The chunks of all classes, mixed and written to one ROOT file, a part at a time."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from triggerforge.data.generator.chunk import ChunkTask, Columns
from triggerforge.data.generator.pool import chunk_path, read_chunk
from triggerforge.data.generator.schema import BRANCH_DOCS, PART_BRANCHES, TREE, describe
from triggerforge.errors import DataError


def merge(tasks: Sequence[ChunkTask], folder: Path, path: Path) -> None:
    """Writes the tasks' chunks in `folder` to `path`, whole or not at all.

    Chunks of the same index are mixed jet by jet, with the run's seed, so that any part of the
    file has all classes. In memory at one time: one chunk of each class.
    Raises DataError if the disk is full.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with uproot.recreate(temporary) as file:
            file[BRANCH_DOCS] = describe(tuple(c.name for c in tasks[0].recipe.classes))
            tree = None
            for arrays in _parts(tasks, folder):
                if tree is None:
                    tree = file.mktree(
                        TREE,
                        {n: a.type.content if n == "part" else a.dtype for n, a in arrays.items()},
                    )
                tree.extend(arrays)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"cannot write {path}: {error.strerror}; make room and run again: "
            "finished chunks are kept"
        ) from error
    temporary.replace(path)


def _parts(tasks: Sequence[ChunkTask], folder: Path) -> Iterable[dict[str, ak.Array]]:
    for index in sorted({task.index for task in tasks}):
        chunks = [read_chunk(chunk_path(folder, t)) for t in tasks if t.index == index]
        rng = np.random.default_rng([tasks[0].seed, index])
        yield _mixed(chunks, rng)


def _mixed(chunks: list[Columns], rng: np.random.Generator) -> dict[str, ak.Array]:
    whole = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    counts = whole.pop("npart")
    order = rng.permutation(len(counts))
    flat = ak.zip({name: whole.pop(f"part_{name}") for name in PART_BRANCHES})
    jagged = ak.unflatten(flat, counts)[order]
    return {name: column[order] for name, column in whole.items()} | {"part": jagged}
