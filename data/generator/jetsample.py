"""The recipes of jets, jets5 and toptag, as a sample: chunks of one class, mixed in one tree."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generator.chunk import ChunkTask
from triggerforge.data.generator.pool import chunk_path, read_chunk
from triggerforge.data.generator.recipes import Recipe, resolve
from triggerforge.data.generator.rootfile import Branches, joined, write_tree
from triggerforge.data.generator.sample import Columns, Step
from triggerforge.data.generator.schema import BRANCH_DOCS, PART_BRANCHES, TREE, describe
from triggerforge.errors import ConfigError


class JetSample:
    """Jets of all classes of a recipe; its chunks lie in `chunks`.

    Raises ConfigError for a recipe that cannot run.
    """

    def __init__(self, config: GenerateConfig, seed: int, chunks: Path) -> None:
        self._config = config
        self._recipe = resolve(config)
        self._seed = seed
        self._chunks = chunks
        self._tasks = plan(config, self._recipe, seed)
        self.steps: tuple[Step, ...] = (Step("jets", self._tasks),)

    @property
    def identity(self) -> list[object]:
        """See Sample."""
        return [self._settings, self._config.jets, self._config.chunk_jets]

    @property
    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads(json.dumps(self._recipe.model_dump(), default=sorted))
        return settings

    def merge(self, path: Path) -> None:
        """See Sample. Chunks of the same index are mixed jet by jet, with the run's seed, so that
        any part of the file has all classes; one chunk of each class is in memory at one time."""
        classes = tuple(c.name for c in self._recipe.classes)
        write_tree(path, TREE, {BRANCH_DOCS: describe(classes)}, self._parts())

    def _parts(self) -> Iterable[Branches]:
        for index in sorted({task.index for task in self._tasks}):
            paths = [chunk_path(self._chunks, t) for t in self._tasks if t.index == index]
            rng = np.random.default_rng([self._seed, index])
            yield _mixed([read_chunk(path) for path in paths], rng)

    def summary(self) -> dict[str, Any]:
        """See Sample."""
        return {
            "tree": TREE,
            "jets": self._config.jets,
            "classes": [c.name for c in self._recipe.classes],
            "settings": self._settings,
        }


def plan(config: GenerateConfig, recipe: Recipe, seed: int) -> list[ChunkTask]:
    """The chunks of a run, by index and then by class; jets are shared as equally as they go.

    Raises ConfigError if there are fewer jets than classes.
    """
    classes = len(recipe.classes)
    if config.jets < classes:
        raise ConfigError(
            f"{config.jets} jets for {classes} classes; give generate.jets >= {classes}"
        )
    tasks = []
    for label in range(classes):
        left = config.jets // classes + (label < config.jets % classes)
        for index in range(-(-left // config.chunk_jets)):
            size = min(config.chunk_jets, left - index * config.chunk_jets)
            tasks.append(ChunkTask(recipe, label, index, size, seed))
    return sorted(tasks, key=lambda task: (task.index, task.label))


def _mixed(chunks: list[Columns], rng: np.random.Generator) -> Branches:
    whole = joined(chunks)
    counts = whole.pop("npart")
    order = rng.permutation(len(counts))
    flat = ak.zip({name: whole.pop(f"part_{name}") for name in PART_BRANCHES})
    jagged = ak.unflatten(flat, counts)[order]
    return {name: column[order] for name, column in whole.items()} | {"part": jagged}
