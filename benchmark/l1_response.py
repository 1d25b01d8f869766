"""Response of Level-1 jets: their pT over that of the generator's jets, with pile-up laid over them.

`python -m triggerforge.benchmark.l1_response [pile-up [collisions]]` prints, for hard collisions in
three pTHat bins, the median and the spread of pT(Level-1) / pT(generated) and the part of the leading
generated jets (anti-kT 0.4, all visible particles) that have a Level-1 jet within 0.3.
"""

import sys
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from triggerforge.border import answer, by_words
from triggerforge.data.generator.events import Generator
from triggerforge.data.generator.jets import Jets, cluster
from triggerforge.data.generator.l1.collisions import Pool
from triggerforge.data.generator.l1.digitise import digitise
from triggerforge.data.generator.l1.jetfinder import find_jets
from triggerforge.data.generator.l1.muons import find_muons
from triggerforge.data.generator.l1.overlay import Draws, draw, overlay
from triggerforge.data.generator.l1.processes import SOFT, STRATA, Process
from triggerforge.data.generator.l1.towers import deposit
from triggerforge.data.generator.particles import visible
from triggerforge.data.generator.tracker import wrap

_BINS = ("hard30to50", "hard80to120", "hard170to250")
_ETA = (0.0, 1.5, 3.0, 5.0)
_ENERGY = 13_600.0
_SOFT_COLLISIONS = 2000
_NEAR, _PT_MIN = 0.3, 20.0
_FEWEST = 10

Array = NDArray[np.float64]


def main(pileup: str = "60", collisions: str = "400") -> int:
    """Prints a line for each pTHat bin and band of |eta|; gives back exit status 0."""
    rng = np.random.default_rng(1)
    soft, _ = _simulate(SOFT, _SOFT_COLLISIONS, rng)
    sys.stdout.write(f"pile-up {pileup}\npTHat bin     |eta|       jets  found  median  spread\n")
    for process in STRATA:
        if process.name in _BINS:
            pool, truth = _simulate(process, int(collisions), rng)
            _lines(process.name, truth, _level1(pool, soft, float(pileup), rng))
    return 0


def _simulate(process: Process, collisions: int, rng: np.random.Generator) -> tuple[Pool, Jets]:
    generator = Generator(process.settings(_ENERGY, 1, ()))
    batch = generator.next(collisions)
    particles = visible(batch, generator)
    pool = Pool(
        name=process.name,
        towers=deposit(particles, len(batch), rng),
        muons=find_muons(particles, len(batch), rng),
        pthat=batch.pthat.astype(np.float32),
        sigma=generator.cross_section,
    )
    jets = cluster(particles, len(batch), 0.4, _PT_MIN)
    order = np.lexsort((-jets.pt, jets.event))
    leading = np.zeros(len(order), np.bool_)
    leading[order[np.flatnonzero(np.diff(jets.event[order], prepend=-1))]] = True
    return pool, jets.take(leading)


def _level1(
    pool: Pool, soft: Pool, pileup: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Array]:
    each = np.arange(len(pool))
    plain = Draws(pool, each, each, each * 0, np.zeros(len(pool), np.bool_))
    beside = draw(soft, rng.poisson(pileup, len(pool)), rng)
    return find_jets(digitise(overlay([plain, beside], len(pool)).et))


def _lines(name: str, truth: Jets, found: tuple[NDArray[np.int64], Array]) -> None:
    ratio = np.array([_ratio(truth, i, *found) for i in range(len(truth.pt))])
    for low, high in pairwise(_ETA):
        band = ratio[(np.abs(truth.eta) >= low) & (np.abs(truth.eta) < high)]
        matched = band[band > 0]
        if len(matched) >= _FEWEST:
            sys.stdout.write(
                f"{name:12s}  {low:.1f} - {high:.1f}  {len(band):5d}  {len(matched) / len(band):5.2f}  "
                f"{np.median(matched):6.3f}  {matched.std():6.3f}\n"
            )


def _ratio(truth: Jets, i: int, event: NDArray[np.int64], jets: Array) -> float:
    """pT of the nearest Level-1 jet over that of jet `i`; 0 if there is none."""
    own = jets[event == truth.event[i]]
    distance = np.hypot(own[:, 1] - truth.eta[i], wrap(own[:, 2] - truth.phi[i]))
    if not len(own) or distance.min() > _NEAR:
        return 0.0
    return float(own[distance.argmin(), 0] / truth.pt[i])


if __name__ == "__main__":
    sys.exit(
        answer(
            by_words(main, __doc__, "triggerforge.benchmark.l1_response"),
            "triggerforge.benchmark.l1_response",
        )
    )
