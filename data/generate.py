"""The stage `generate`: simulated jets, or bunch crossings at Level-1, in one ROOT file."""

import shutil
import time
from pathlib import Path

from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generator.jetsample import JetSample
from triggerforge.data.generator.l1.sample import CrossingSample
from triggerforge.data.generator.pool import available_cores, make_chunks
from triggerforge.data.generator.sample import Sample, Step
from triggerforge.progress import progress
from triggerforge.result import write_record
from triggerforge.runfolder import key_of, write_atomic

EVENTS_FILE = "events.root"
_CHUNKS = "chunks"
_KEY = "key.txt"


def generate(config: GenerateConfig, seed: int, folder: Path) -> Path:
    """Writes `folder/events.root` and gives back its path.

    The same configuration and seed give the same events, whatever the number of workers. Chunks
    that a killed run left in `folder` are used. Raises ConfigError for a recipe that cannot run,
    DataError if no jet passes the selection or the disk is full.
    """
    chunks = folder / _CHUNKS
    sample: Sample = (CrossingSample if config.recipe == "l1" else JetSample)(config, seed, chunks)
    _prepare(chunks, key_of(*sample.identity, seed))
    workers = config.workers or available_cores()
    start = time.monotonic()
    seconds = {step.what: _make(step, chunks, workers) for step in sample.steps}
    path = folder / EVENTS_FILE
    sample.merge(path)
    record = {
        "recipe": config.recipe,
        **sample.summary(),
        "workers": workers,
        "seconds": round(time.monotonic() - start, 1),
        "seconds_of_steps": seconds,
    }
    shutil.rmtree(chunks)
    write_record(folder, data={"generator": record})
    return path


def _make(step: Step, chunks: Path, workers: int) -> float:
    """Makes what is missing of a step; gives back the seconds that it took."""
    start = time.monotonic()
    with progress(f"generate {step.what}", step.size) as meter:
        done = 0
        for task in make_chunks(step.tasks, chunks, workers):
            done += task.size
            meter(done)
    return round(time.monotonic() - start, 1)


def _prepare(chunks: Path, key: str) -> None:
    """The folder of the chunks; chunks of another configuration are thrown away."""
    if chunks.exists() and not _has_key(chunks, key):
        shutil.rmtree(chunks)
    chunks.mkdir(parents=True, exist_ok=True)
    write_atomic(chunks / _KEY, key)


def _has_key(chunks: Path, key: str) -> bool:
    try:
        return (chunks / _KEY).read_text() == key
    except OSError:
        return False
