"""Whether a simulation gives the model's numbers, and the words for it where it does not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.fixedpoint import FixedFormat
from triggerforge.result import ParityRow

_SHOWN = 5
_REFERENCE = "alir"  # what `QuantizedModel.predict` runs


def compare(
    got: NDArray[np.float64], expected: NDArray[np.float64], formats: tuple[FixedFormat, ...]
) -> dict[str, Any]:
    """Counts outputs (N, outputs) that differ; the first few with what was expected, in LSB.

    Both are finite: simulations give whole numbers of LSB.
    """
    wrong = np.argwhere(got != expected)
    lsb = np.array([fmt.lsb for fmt in formats])
    samples = [
        {
            "event": int(event),
            "output": int(output),
            "expected_lsb": float(expected[event, output] / lsb[output]),
            "got_lsb": float(got[event, output] / lsb[output]),
        }
        for event, output in wrong[:_SHOWN]
    ]
    return {
        "events": len(expected),
        "outputs": int(expected.size),
        "mismatches": len(wrong),
        "max_lsb": float((np.abs(got - expected) / lsb).max(initial=0.0)),
        "samples": samples,
    }


def failure(name: str, firmware: dict[str, Any]) -> str:
    """A sentence on the mismatches of part `name`; empty where there are none."""
    check = firmware.get(name, {}).get("check")
    if not check or not check["mismatches"]:
        return ""
    shown = ", ".join(
        f"event {s['event']} output {s['output']}: expected {s['expected_lsb']:g} LSB, got "
        f"{s['got_lsb']:g} LSB"
        for s in check["samples"]
    )
    return (
        f"{name}: {check['mismatches']} of {check['outputs']} outputs differ from the quantised "
        f"model ({shown})"
    )


def mismatch_rows(firmware: dict[str, Any]) -> list[ParityRow]:
    """A row of the record's `parity` for each part that differs from the model on its test bench.

    Those that agree have none: the benchmark compares them on more events, and with HGQ2.
    """
    return [
        ParityRow(
            reference=_REFERENCE,
            candidate=name,
            inputs="test bench",
            events=check["events"],
            outputs=check["outputs"],
            mismatches=check["mismatches"],
            max_lsb=check["max_lsb"],
            **{"examples": check["samples"]},  # noqa: PIE804  a key that the row's type leaves open
        )
        for name, facts in firmware.items()
        if (check := facts.get("check")) and check["mismatches"]
    ]
