"""The stage `generate`: simulated jets in one ROOT file."""

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generator.chunk import ChunkTask
from triggerforge.data.generator.pool import available_cores, make_chunks
from triggerforge.data.generator.recipes import Recipe, resolve
from triggerforge.data.generator.rootfile import merge
from triggerforge.data.generator.schema import TREE
from triggerforge.errors import ConfigError
from triggerforge.progress import progress
from triggerforge.result import write_record
from triggerforge.runfolder import key_of, write_atomic

EVENTS_FILE = "events.root"
_CHUNKS = "chunks"
_KEY = "key.txt"


def generate(config: GenerateConfig, seed: int, folder: Path) -> Path:
    """Writes `folder/events.root` and gives back its path.

    The same configuration and seed give the same jets, whatever the number of workers. Chunks
    that a killed run left in `folder` are used. Raises ConfigError for a recipe that cannot run,
    DataError if no jet passes the selection or the disk is full.
    """
    recipe = resolve(config)
    tasks = plan(config, recipe, seed)
    chunks = _chunk_folder(folder, recipe, config, seed)
    workers = config.workers or available_cores()
    start = time.monotonic()
    with progress(f"generate {config.recipe} [jets]", config.jets) as meter:
        done = 0
        for task in make_chunks(tasks, chunks, workers):
            done += task.jets
            meter(done)
    path = folder / EVENTS_FILE
    merge(tasks, chunks, path)
    shutil.rmtree(chunks)
    write_record(
        folder,
        data={"generator": _summary(config, recipe, workers, time.monotonic() - start)},
    )
    return path


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


def _chunk_folder(folder: Path, recipe: Recipe, config: GenerateConfig, seed: int) -> Path:
    """Where the chunks go; chunks of another configuration are thrown away."""
    chunks = folder / _CHUNKS
    key = key_of(asdict(recipe), config.jets, config.chunk_jets, seed)
    if chunks.exists() and not _has_key(chunks, key):
        shutil.rmtree(chunks)
    chunks.mkdir(parents=True, exist_ok=True)
    write_atomic(chunks / _KEY, key)
    return chunks


def _has_key(chunks: Path, key: str) -> bool:
    try:
        return (chunks / _KEY).read_text() == key
    except OSError:
        return False


def _summary(
    config: GenerateConfig, recipe: Recipe, workers: int, seconds: float
) -> dict[str, object]:
    return {
        "recipe": config.recipe,
        "tree": TREE,
        "jets": config.jets,
        "classes": [c.name for c in recipe.classes],
        "settings": json.loads(json.dumps(asdict(recipe), default=sorted)),
        "workers": workers,
        "seconds": round(seconds, 1),
    }
