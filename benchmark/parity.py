"""Whether two engines give the same numbers, and where they do not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ModelError
from triggerforge.progress import say
from triggerforge.result import ParityRow

_SHOWN = 5


@dataclass(frozen=True)
class Pair:
    """Which two engines are compared, on what, and how closely they have to agree."""

    reference: str
    candidate: str
    inputs: str
    """"test", or the name of the corner inputs"""
    lsb: NDArray[np.float64]
    """(outputs,): step of each output"""
    tolerance_lsb: float = 0.0
    tolerance_relative: float = 0.0
    """what float32 may round of a large output: allowed beyond, times the expected output's size"""


def compare(pair: Pair, expected: NDArray[Any], got: NDArray[Any]) -> ParityRow:
    """Compares outputs (N, outputs); `examples` of the row shows the first mismatches.

    What is not finite, in either, is a mismatch whatever the tolerance, and leaves `max_lsb` None.
    Raises ModelError if the shapes differ.
    """
    if expected.shape != got.shape:
        raise ModelError(
            f"{pair.candidate} gives outputs of shape {got.shape}, {pair.reference} "
            f"{expected.shape}; both must answer the same events"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        want, have = (np.asarray(v, np.float64) / pair.lsb for v in (expected, got))
        distance = np.abs(have - want)
        allowed = pair.tolerance_lsb + pair.tolerance_relative * np.abs(want)
    wrong = ~(np.isfinite(distance) & (distance <= allowed))
    return ParityRow(
        reference=pair.reference,
        candidate=pair.candidate,
        inputs=pair.inputs,
        events=len(expected),
        outputs=int(expected.size),
        mismatches=int(wrong.sum()),
        max_lsb=_finite(distance.max(initial=0.0)),
        tolerance_lsb=pair.tolerance_lsb,
        tolerance_relative=pair.tolerance_relative,
        **({"examples": _examples(wrong, want, have)} if wrong.any() else {}),
    )


def _examples(wrong: Any, want: Any, have: Any) -> list[dict[str, Any]]:
    """The first mismatches: event, output, expected and got in LSB."""
    return [
        {
            "event": int(event),
            "output": int(output),
            "expected_lsb": _finite(want[event, output]),
            "got_lsb": _finite(have[event, output]),
        }
        for event, output in np.argwhere(wrong)[:_SHOWN]
    ]


def _finite(value: float) -> float | None:
    """JSON has no NaN and no infinity: None stands for both."""
    return float(value) if np.isfinite(value) else None


def report_mismatches(rows: list[ParityRow]) -> None:
    """Says, for each row with mismatches, in which events and by how much."""
    for row in rows:
        if not row.mismatches:
            continue
        say(
            f"parity: {row.candidate} differs from {row.reference} in {row.mismatches} of "
            f"{row.outputs} outputs ({row.inputs} inputs), by up to {_in_lsb(row.max_lsb)}"
        )
        for e in (row.model_extra or {}).get("examples", []):
            say(
                f"  event {e['event']}, output {e['output']}: expected "
                f"{_in_lsb(e['expected_lsb'])}, got {_in_lsb(e['got_lsb'])}"
            )


def _in_lsb(value: float | None) -> str:
    return "no finite number" if value is None else f"{value:g} LSB"
