"""The recipe l1 as a sample: pools of collisions first, then crossings, then one tree."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from triggerforge.config.generate import GenerateConfig, L1Config
from triggerforge.data.generator.l1.collisions import PoolTask, load_pool
from triggerforge.data.generator.l1.crossing import PER_CHUNK, CrossingTask, strata_of
from triggerforge.data.generator.l1.processes import SHARES, SIGNALS, STRATA, Process
from triggerforge.data.generator.l1.schema import ABOUT, BACKGROUND, TREE, describe
from triggerforge.data.generator.l1.towers import CELLS
from triggerforge.data.generator.pool import chunk_path, read_chunk
from triggerforge.data.generator.rootfile import Branches, joined, write_tree
from triggerforge.data.generator.sample import Columns, Step
from triggerforge.data.generator.seeds import derived_seed
from triggerforge.data.l1.layout import INPUTS
from triggerforge.errors import ConfigError, did_you_mean


class CrossingSample:
    """Crossings of background and signals; its chunks lie in `chunks`.

    Raises ConfigError for a signal that is not there and for too few crossings.
    """

    def __init__(self, config: GenerateConfig, seed: int, chunks: Path) -> None:
        self._config, self._seed, self._chunks = config.l1, seed, chunks
        self._extra = config.pythia
        self._signals = chosen_signals(config.l1)
        self._pools = self._pool_tasks()
        self._crossings = self._crossing_tasks()
        self.steps: tuple[Step, ...] = (
            Step("collisions", self._pools),
            Step("crossings", self._crossings),
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        return (BACKGROUND, *(signal.name for signal in self._signals))

    @property
    def identity(self) -> list[object]:
        """See Sample."""
        processes = [asdict(process) for process in (*STRATA, *self._signals)]
        return [self._config.model_dump(mode="json"), processes, list(self._extra)]

    def _pool_tasks(self) -> list[PoolTask]:
        config = self._config
        sizes = [(STRATA[0], config.soft_pool)] + [(p, config.hard_pool) for p in STRATA[1:]]
        sizes += [(p, min(config.hard_pool, config.signal)) for p in self._signals]
        return [
            PoolTask(process, config.energy, index, size, self._seed, self._extra)
            for process, total in sizes
            for index, _, size in _chunks(total, config.chunk_events)
        ]

    def _crossing_tasks(self) -> list[CrossingTask]:
        parts = shares(self._config.background)
        kinds = [(0, k, process, parts[k]) for k, process in enumerate(STRATA)]
        kinds += [(i + 1, -1, p, self._config.signal) for i, p in enumerate(self._signals)]
        tasks = [
            CrossingTask(
                self._chunks,
                label,
                part,
                process.name,
                self._config.pileup,
                index,
                first,
                size,
                parts,
                self._seed,
            )
            for label, part, process, total in kinds
            for index, first, size in _chunks(total, self._config.chunk_events)
        ]
        return sorted(tasks, key=lambda task: (task.index, task.label, task.part))

    def merge(self, path: Path) -> None:
        """See Sample. Chunks of the same index are mixed, with the run's seed."""
        numbers: dict[str, object] = {
            "pileup": self._config.pileup,
            "crossings": self._represented(),
        }
        write_tree(path, TREE, {ABOUT: describe(self.classes, numbers)}, self._parts())

    def _parts(self) -> Iterator[Branches]:
        for index in sorted({task.index for task in self._crossings}):
            tasks = [task for task in self._crossings if task.index == index]
            whole = joined([self._branches(task) for task in tasks])
            rng = np.random.default_rng(derived_seed(self._seed, "mix", index))
            order = rng.permutation(len(whole["label"]))
            yield {name: column[order] for name, column in whole.items()}

    def _branches(self, task: CrossingTask) -> Columns:
        chunk = read_chunk(chunk_path(self._chunks, task))
        return {name: column for name, column in chunk.items() if name not in PER_CHUNK}

    def _represented(self) -> float:
        """Crossings that the background stands for."""
        strata = strata_of([load_pool(self._chunks, p.name) for p in STRATA], self._config.pileup)
        events = np.array(shares(self._config.background))
        return float((strata.weights(events) * events).sum())

    def summary(self) -> dict[str, Any]:
        """See Sample."""
        pools = [load_pool(self._chunks, process.name) for process in STRATA]
        strata = strata_of(pools, self._config.pileup)
        totals = [read_chunk(chunk_path(self._chunks, task)) for task in self._crossings]
        draws, towers, saturated = (sum(t[name][0] for t in totals) for name in PER_CHUNK)
        events = sum(task.size for task in self._crossings)
        names = [process.name for process in STRATA]
        return {
            "tree": TREE,
            "classes": list(self.classes),
            "events": {BACKGROUND: self._config.background}
            | {signal.name: self._config.signal for signal in self._signals},
            "pileup": self._config.pileup,
            "crossings_represented": self._represented(),
            "strata": {
                name: {
                    "sigma_mb": pool.sigma,
                    "collisions_per_crossing": float(mean),
                    "part_of_crossings": float(probability),
                    "pool": len(pool),
                    "reuse_factor": float(drawn / len(pool)),
                }
                for name, pool, mean, probability, drawn in zip(
                    names, pools, strata.means, strata.probabilities, draws, strict=True
                )
            },
            "towers": {
                "mean_et_gev": float(towers[0] / 2 / events / CELLS),
                "lit": float(towers[1] / events / CELLS),
                "saturated": int(towers[2]),
            },
            "saturated_inputs": {
                name: int(n) for name, n in zip(INPUTS, saturated.ravel(), strict=True) if n
            },
            "settings": {
                "signals": json.loads(json.dumps([asdict(s) for s in self._signals])),
                **self._config.model_dump(mode="json"),
            },
        }


def chosen_signals(config: L1Config) -> tuple[Process, ...]:
    """The processes of `config.signals`, in its order; raises ConfigError for an unknown name."""
    known = {signal.name: signal for signal in SIGNALS}
    if config.signals is None:
        return SIGNALS
    for name in config.signals:
        if name not in known:
            raise ConfigError(f"generate.l1.signals: no {name!r}; {did_you_mean(name, known)}")
    if len(set(config.signals)) < len(config.signals):
        raise ConfigError(f"generate.l1.signals: {list(config.signals)} names a signal twice")
    return tuple(known[name] for name in config.signals)


def shares(background: int) -> tuple[int, ...]:
    """Crossings of each stratum by `SHARES`; the soft one has what is left over.

    Raises ConfigError if a stratum would get none.
    """
    hard = [int(background * share) for share in SHARES[1:]]
    if not min(hard):
        raise ConfigError(
            f"{background} background crossings for {len(STRATA)} strata; give "
            f"generate.l1.background >= {math.ceil(1 / min(SHARES))}"
        )
    return (background - sum(hard), *hard)


def _chunks(total: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Number, first entry and size of each chunk."""
    for index, first in enumerate(range(0, total, size)):
        yield index, first, min(size, total - first)
