"""What a run says at its end: whether it was a quick one, its key figures, whether all agree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triggerforge.reasons import said_once
from triggerforge.report.material import not_run, reading
from triggerforge.report.quality import quality_line
from triggerforge.report.quick import banner
from triggerforge.report.tables.parity import verdict
from triggerforge.report.tables.working_points import in_words, nearest
from triggerforge.result import read_result

_OF_BANNER = 3
"""its lines for a terminal: that it is a quick run, how small, how good; settings stand in the report"""


def ending(run: Path) -> str:
    """A few lines about the run in the folder `run`.

    Raises ArtifactError if its result.json is missing, damaged or of another version.
    """
    result = read_result(run / "result.json")
    with reading("the run's ending"):
        return "\n".join([*_lines(result), f"report: {run / 'report.html'}"])


def _lines(result: Mapping[str, Any]) -> list[str]:
    lines = list(banner(result)[:_OF_BANNER]) or [line for line in [quality_line(result)] if line]
    lines += [in_words(entry) for entry in nearest(result)]
    lines.append(f"parity: {verdict(result.get('parity') or ()).sentence}")
    return lines + [f"not run: {what}: {why}" for what, why in said_once(not_run(result))]
