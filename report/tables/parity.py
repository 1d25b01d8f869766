"""Whether every engine gives the same numbers as the HGQ2 model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, finite, number


@dataclass(frozen=True)
class Verdict:
    """The parity of a whole run in one word and one sentence."""

    word: str
    """"exact", "mismatch" or "not run" """
    sentence: str
    tone: str


def is_exact(entry: Mapping[str, Any]) -> bool:
    """Whether a parity row has not one number outside its tolerance."""
    return finite(entry.get("mismatches")) == 0


def has_to_be_exact(entry: Mapping[str, Any]) -> bool:
    """Whether a parity row allows no difference at all."""
    return not finite(entry.get("tolerance_lsb"))


def verdict(rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """What the parity rows say together."""
    if not rows:
        return Verdict("not run", "parity was not checked", "muted")
    bad = [str(r.get("candidate")) for r in rows if not is_exact(r)]
    if bad:
        return Verdict("mismatch", f"different numbers from {', '.join(dict.fromkeys(bad))}", "bad")
    exact = [r for r in rows if has_to_be_exact(r)]
    engines = {str(r.get("candidate")) for r in exact}
    numbers = sum(int(finite(r.get("outputs")) or 0) for r in exact)
    if not engines:
        return Verdict("within tolerance", "no engine was asked to be exact", "good")
    return Verdict(
        "exact",
        f"{len(engines)} engine{'s'[: len(engines) > 1]} and the reference give the same numbers: "
        f"0 mismatches in {numbers:,} compared outputs",
        "good",
    )


def parity(material: Material) -> Table:
    """One row for each engine and kind of input."""
    rows = [
        row(
            str(r.get("candidate", DASH)),
            str(r.get("reference", DASH)),
            str(r.get("inputs", DASH)),
            count(r.get("events")),
            count(r.get("outputs")),
            Cell(count(r.get("mismatches")), "good" if is_exact(r) else "bad"),
            number(r.get("max_lsb")),
            _asked(r),
            _judged(r),
        )
        for r in material.section("parity")
    ]
    return Table(
        (
            "engine",
            "reference",
            "inputs",
            "events",
            "outputs compared",
            "mismatches",
            "largest difference [LSB]",
            "tolerance [LSB]",
            "verdict",
        ),
        tuple(rows),
        "Outputs of each engine against the reference, for the same inputs on the port's "
        "fixed-point grid. LSB: the step of the output's format.",
    )


def _asked(entry: Mapping[str, Any]) -> str:
    tolerance = finite(entry.get("tolerance_lsb"))
    if tolerance == 0:
        return "exact"
    relative = finite(entry.get("tolerance_relative"))
    return number(tolerance) + (f" + {number(relative)} of the output" if relative else "")


def _judged(entry: Mapping[str, Any]) -> Cell:
    if not is_exact(entry):
        return Cell("✗ differs", "bad")
    return Cell("✓ exact" if has_to_be_exact(entry) else "✓ within tolerance", "good")
