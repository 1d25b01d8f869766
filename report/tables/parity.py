"""Whether every engine gives the same numbers as the HGQ2 model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triggerforge.report.blocks import Cell, Table, row
from triggerforge.report.material import Material
from triggerforge.report.numbers import DASH, count, finite, number

Row = Mapping[str, Any]


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
    """A grid: one row an engine, one column a kind of input, in the cells the mismatches."""
    rows = material.section("parity")
    kinds = list(dict.fromkeys(str(r.get("inputs", DASH)) for r in rows))
    by_engine: dict[tuple[str, str], list[Row]] = {}
    for r in rows:
        key = str(r.get("candidate", DASH)), str(r.get("reference", DASH))
        by_engine.setdefault(key, []).append(r)
    return Table(
        ("engine", "verdict", *kinds, "outputs compared", "largest difference [LSB]", "reference"),
        tuple(_line(*key, mine, kinds) for key, mine in by_engine.items()),
        f"Mismatches of each engine with its reference, by kind of input, on the port's fixed-point "
        f"grid; 0: not one output differs. {_events(rows, kinds)} LSB: the step of the output's format.",
        notes=tuple(note for r in rows if (note := _exception(r))),
    )


def _line(
    engine: str, reference: str, rows: Sequence[Row], kinds: Sequence[str]
) -> tuple[Cell, ...]:
    cells = [_cell([r for r in rows if str(r.get("inputs", DASH)) == kind]) for kind in kinds]
    outputs = sum(int(finite(r.get("outputs")) or 0) for r in rows)
    differences = [finite(r.get("max_lsb")) for r in rows]
    known = [d for d in differences if d is not None]
    furthest = max(known) if known and len(known) == len(differences) else None
    return row(engine, _judged(rows), *cells, count(outputs), number(furthest), reference)


def _cell(rows: Sequence[Row]) -> Cell:
    """Mismatches for one kind of input; a dash where the engine was not given it."""
    if not rows:
        return Cell(DASH, "muted")
    wrong = sum(finite(r.get("mismatches")) or 0 for r in rows)
    if all(map(is_exact, rows)):
        return Cell("0", "good")
    outputs = sum(finite(r.get("outputs")) or 0 for r in rows)
    return Cell(f"{count(wrong) if wrong else DASH} of {count(outputs)}", "bad")


def _events(rows: Sequence[Row], kinds: Sequence[str]) -> str:
    """How many events each kind of input has."""
    told = []
    for kind in kinds:
        events = sorted(
            {int(n) for r in rows if r.get("inputs") == kind and (n := finite(r.get("events")))}
        )
        told.append(f"{kind} {' to '.join(f'{n:,}' for n in (events[:1] + events[1:][-1:]))}")
    return f"Events: {', '.join(told)}."


def _exception(entry: Row) -> str:
    """A row that is not simply 0 and exact, in words."""
    names = f"{entry.get('candidate', DASH)} against {entry.get('reference', DASH)}"
    inputs = f"{entry.get('inputs', DASH)} inputs"
    if not is_exact(entry):
        return (
            f"{names}, {inputs}: {count(entry.get('mismatches'))} of {count(entry.get('outputs'))} "
            f"outputs differ, by up to {number(entry.get('max_lsb'))} LSB; allowed: {_asked(entry)}"
        )
    if not has_to_be_exact(entry):
        return f"{names}, {inputs}: within {number(entry.get('max_lsb'))} LSB; allowed: {_asked(entry)}"
    return ""


def _asked(entry: Row) -> str:
    if has_to_be_exact(entry):
        return "none"
    relative = finite(entry.get("tolerance_relative"))
    of_output = f" + {number(relative)} of the output" if relative else ""
    return f"{number(entry.get('tolerance_lsb'))} LSB{of_output}"


def _judged(rows: Sequence[Row]) -> Cell:
    if not all(map(is_exact, rows)):
        return Cell("✗ differs", "bad")
    return Cell("✓ exact" if all(map(has_to_be_exact, rows)) else "✓ within tolerance", "good")
