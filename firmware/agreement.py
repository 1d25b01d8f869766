"""Whether a simulation gives the model's numbers, and the words for it where it does not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.fixedpoint import FixedFormat

_SHOWN = 5


def compare(
    got: NDArray[np.float64], expected: NDArray[np.float64], formats: tuple[FixedFormat, ...]
) -> dict[str, Any]:
    """Counts outputs (N, outputs) that differ; the first few with what was expected, in LSB."""
    wrong = np.argwhere(got != expected)
    samples = [
        {
            "event": int(event),
            "output": int(output),
            "expected_lsb": float(expected[event, output] / formats[output].lsb),
            "got_lsb": float(got[event, output] / formats[output].lsb),
        }
        for event, output in wrong[:_SHOWN]
    ]
    return {
        "events": len(expected),
        "outputs": int(expected.size),
        "mismatches": len(wrong),
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
