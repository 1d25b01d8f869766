"""Speed of the recipe l1 on one core, in CPU time, so that other work on the machine does not count.

`python -m triggerforge.benchmark.l1_speed [crossings]` prints collisions/s for the soft pool and one
hard one, Pythia's start included, and crossings/s of overlay and trigger objects at two pile-ups.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from triggerforge.border import answer, by_words
from triggerforge.data.generator.l1.collisions import PoolTask
from triggerforge.data.generator.l1.crossing import CrossingTask
from triggerforge.data.generator.l1.processes import STRATA
from triggerforge.data.generator.l1.sample import shares
from triggerforge.data.generator.pool import make_chunks

_ENERGY = 13_600.0
_COLLISIONS = {"soft": 2000, "hard80to120": 500}
_FEW = 50


def main(crossings: str = "1000") -> int:
    """Prints the figures; gives back exit status 0."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for process in STRATA:
            size = _COLLISIONS.get(process.name, _FEW)
            pool = PoolTask(process, _ENERGY, 0, size, 1)
            seconds = _cpu_seconds(partial(_make, pool, folder))
            if process.name in _COLLISIONS:
                _line(f"{process.name} collisions simulated", size, seconds)
        for pileup in (60.0, 200.0):
            size = int(crossings)
            task = CrossingTask(folder, 0, 0, "soft", pileup, 0, 0, size, shares(100 * size), 1)
            _line(f"crossings at pile-up {pileup:g}", size, _cpu_seconds(task.make))
    return 0


def _make(task: PoolTask, folder: Path) -> None:
    list(make_chunks([task], folder, 1))


def _line(what: str, size: int, seconds: float) -> None:
    sys.stdout.write(f"{what:34s} {size:6d} in {seconds:5.1f} s: {size / seconds:6.0f} /s/core\n")


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(
        answer(
            by_words(main, __doc__, "triggerforge.benchmark.l1_speed"),
            "triggerforge.benchmark.l1_speed",
        )
    )
