"""Checks of the generator's physics against what is known.

`python -m triggerforge.benchmark.physics [events.root | number of jets]` prints the groomed-mass
peaks of W, Z and top beside their masses, how many jets lost a prong (less than half the mass), and
the multiplicities of quark and gluon jets; it ends with status 1 if a peak is further than 3 % from its mass or gluons have no more constituents.
A number generates that many `jets5` jets first (default 20000).
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import uproot

from triggerforge.border import answer, by_words
from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate
from triggerforge.data.generator.cards import Array
from triggerforge.data.generator.peak import mass_peak
from triggerforge.data.generator.schema import BRANCH_DOCS, TREE

MASSES = {"W": 80.4, "Z": 91.2, "t": 173.0, "top": 173.0}
"""[GeV], by class name"""
TOLERANCE = 0.03
_SEED = 1
_JETS = 20_000


def main(source: str = str(_JETS)) -> int:
    """Prints the checks of a file, or of freshly generated jets; gives back the exit status."""
    if not source.isdecimal():
        return _check(Path(source))
    with tempfile.TemporaryDirectory() as folder:
        config = GenerateConfig(recipe="jets5", jets=int(source))
        return _check(generate(config, _SEED, Path(folder)))


def _check(path: Path) -> int:
    masses, multiplicities = _by_class(path, "j_mass_mmdt"), _by_class(path, "j_multiplicity")
    verdicts = [_peak_line(name, masses[name]) for name in MASSES if name in masses]
    if {"q", "g"} <= set(multiplicities):
        verdicts.append(_multiplicity_line(multiplicities["q"], multiplicities["g"]))
    return 0 if all(verdicts) else 1


def _by_class(path: Path, branch: str) -> dict[str, Array]:
    with uproot.open(path) as file:
        classes = json.loads(str(file[BRANCH_DOCS]))["classes"]
        columns = file[TREE].arrays(["label", branch], library="np")
    return {name: columns[branch][columns["label"] == i] for i, name in enumerate(classes)}


def _peak_line(name: str, mass: Array) -> bool:
    peak, error = mass_peak(mass.astype(np.float64))
    deviation = peak / MASSES[name] - 1
    good = abs(deviation) < TOLERANCE
    sys.stdout.write(
        f"{name}: groomed mass peak {peak:.2f} +- {error:.2f} GeV of {len(mass)} jets, "
        f"{deviation:+.2%} from {MASSES[name]} GeV: {_word(good)} {TOLERANCE:.0%}; "
        f"{float((mass < MASSES[name] / 2).mean()):.1%} of them below half the mass\n"
    )
    return good


def _multiplicity_line(quark: Array, gluon: Array) -> bool:
    means = [float(x.mean()) for x in (quark, gluon)]
    errors = [float(x.std()) / np.sqrt(len(x)) for x in (quark, gluon)]
    good = means[1] - means[0] > 3 * float(np.hypot(*errors))
    sys.stdout.write(
        f"constituents: quark {means[0]:.2f} +- {errors[0]:.2f}, "
        f"gluon {means[1]:.2f} +- {errors[1]:.2f}: gluon > quark {'holds' if good else 'fails'}\n"
    )
    return good


def _word(good: bool) -> str:
    return "within" if good else "outside"


if __name__ == "__main__":
    sys.exit(
        answer(
            by_words(main, __doc__, "triggerforge.benchmark.physics"),
            "triggerforge.benchmark.physics",
        )
    )
