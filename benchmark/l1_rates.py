"""Sanity figures of generated bunch crossings: rates of usual cut triggers, towers, reuse, speed.

`python -m triggerforge.benchmark.l1_rates [events.root | background crossings [pile-up]]` prints
the rate of single-object triggers in kHz with statistical errors, and the efficiency of each signal.
A number generates so many background crossings first (default 20000, at pile-up 60). Rates are
11.2455 kHz x 2544 colliding bunches x accepted weight / total weight; their errors are those of
weighted crossings, and do not hold what crossings that share a simulated collision have in common
(see the reuse factors). For comparison: CMS' whole Level-1 menu, in which such triggers run without
a prescale at about these thresholds at 2e34 /cm2/s, is limited to 100 kHz (arXiv 1609.02366,
2006.10165). No published rate of a single trigger is quoted here.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from triggerforge.border import answer, by_words
from triggerforge.config.generate import GenerateConfig
from triggerforge.data.generate import generate
from triggerforge.data.generator.l1.schema import ABOUT, TREE
from triggerforge.data.l1.layout import SLOTS
from triggerforge.data.l1.scales import CALO_ETA, JET_PT
from triggerforge.result import RECORD_FILE
from triggerforge.trigger.curve import REVOLUTION_KHZ
from triggerforge.trigger.intervals import Tally

BUNCHES = 2544
"""colliding at CMS in the densest filling scheme of 2018"""
_SEED = 1
_CROSSINGS = 20_000
_CENTRAL = 2.5 / CALO_ETA.lsb

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Crossings of one file."""

    classes: tuple[str, ...]
    label: NDArray[np.int32]
    weight: Array
    objects: NDArray[np.int16]
    """(N, 19, 3)"""
    ht: NDArray[np.float32]
    pileup: float


def main(source: str = str(_CROSSINGS), pileup: str = "60") -> int:
    """Prints the figures of a file, or of freshly generated crossings; gives back exit status 0."""
    if not source.isdecimal():
        return _print(Path(source))
    settings = {"background": int(source), "pileup": pileup, "signal": 500}
    with tempfile.TemporaryDirectory() as folder:
        config = GenerateConfig.model_validate({"recipe": "l1", "l1": settings})
        return _print(generate(config, _SEED, Path(folder)))


def _print(path: Path) -> int:
    sample = _read(path)
    total = REVOLUTION_KHZ * BUNCHES
    background = sample.label == 0
    sys.stdout.write(
        f"pile-up {sample.pileup:g}, {background.sum()} background crossings that stand for "
        f"{sample.weight[background].sum():.0f}; {BUNCHES} bunches, {total:.0f} kHz of crossings\n"
        f"{'trigger':22s} {'rate [kHz]':>20s}  "
        + "  ".join(f"{name:>11s}" for name in sample.classes[1:])
        + "\n"
    )
    for name, passed in triggers(sample).items():
        tally = Tally.of(passed[background], sample.weight[background])
        parts = [f"{passed[sample.label == i].mean():11.3f}" for i in _signals(sample)]
        sys.stdout.write(
            f"{name:22s} {total * tally.fraction:10.3f} +- {total * tally.error:6.3f}  {'  '.join(parts)}\n"
        )
    record = path.parent / RECORD_FILE
    if record.exists():
        _print_record(json.loads(record.read_text())["data"]["generator"])
    return 0


def _signals(sample: Sample) -> range:
    return range(1, len(sample.classes))


def _read(path: Path) -> Sample:
    with uproot.open(path) as file:
        about = json.loads(str(file[ABOUT]))
        columns = file[TREE].arrays(["label", "weight", "objects", "ht"], library="np")
    return Sample(tuple(about["classes"]), **columns, pileup=about["pileup"])


def triggers(sample: Sample) -> dict[str, NDArray[np.bool_]]:
    """name -> (N,) whether each crossing passes; thresholds in GeV, |eta| < 2.5 for jets and e/gamma."""

    def leading(kind: str, nth: int = 0, central: bool = False) -> Array:
        objects = sample.objects[:, SLOTS[kind]].astype(np.float64)
        inside = np.abs(objects[..., 1]) < _CENTRAL
        pt = np.where(inside, objects[..., 0], 0.0) if central else objects[..., 0]
        result: Array = -np.sort(-pt, axis=1)[:, nth] * JET_PT.lsb  # the same for all objects
        return result

    jet, egamma, muon = leading("jet", 0, True), leading("eg", 0, True), leading("mu")
    cuts = [("SingleJet", jet, t) for t in (60, 90, 120, 180)]
    cuts += [("QuadJet", leading("jet", 3, True), t) for t in (40, 60)]
    cuts += [("HTT", sample.ht.astype(np.float64), t) for t in (200, 280, 360)]
    cuts += [("ETM", leading("met"), t) for t in (60, 90, 120)]
    cuts += [("SingleEG", egamma, t) for t in (26, 36)]
    cuts += [("SingleMu", muon, t) for t in (7, 15, 22)]
    cuts += [("DoubleMu", leading("mu", 1), t) for t in (8,)]
    return {f"{name}{threshold}": values >= threshold for name, values, threshold in cuts}


def _print_speed(record: dict[str, Any]) -> None:
    crossings, steps = sum(record["events"].values()), record["seconds_of_steps"]
    sys.stdout.write(
        f"{crossings / record['seconds']:.0f} crossings/s with {record['workers']} processes, "
        f"simulation of the pools included ({steps['collisions']} s; a resumed run counts from its "
        f"last start); overlay and trigger objects "
        f"alone {crossings / steps['crossings']:.0f}/s\n"
    )


def _print_record(record: dict[str, Any]) -> None:
    towers = record["towers"]
    sys.stdout.write(
        f"towers: mean ET {towers['mean_et_gev']:.3f} GeV, {towers['lit']:.1%} lit, "
        f"{towers['saturated']} saturated; inputs saturated: {record['saturated_inputs'] or 'none'}\n"
        "stratum         sigma [mb]  a crossing  part of crossings   pool  reuse factor\n"
    )
    for name, found in record["strata"].items():
        sys.stdout.write(
            f"{name:14s} {found['sigma_mb']:11.4g}  {found['collisions_per_crossing']:10.4g}  "
            f"{found['part_of_crossings']:17.4g}  {found['pool']:5d}  {found['reuse_factor']:12.3g}\n"
        )
    _print_speed(record)


if __name__ == "__main__":
    sys.exit(
        answer(
            by_words(main, __doc__, "triggerforge.benchmark.l1_rates"),
            "triggerforge.benchmark.l1_rates",
        )
    )
