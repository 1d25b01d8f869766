"""What a run says at its end: where the report is, whether all agree, what was not run."""

from pathlib import Path

from triggerforge.report.material import not_run
from triggerforge.report.tables.parity import verdict
from triggerforge.result import read_result


def ending(run: Path) -> str:
    """Two or three lines about the run in the folder `run`.

    Raises ArtifactError if its result.json is missing, damaged or of another version.
    """
    result = read_result(run / "result.json")
    judged = verdict(result.get("parity") or ())
    lines = [f"parity: {judged.sentence}"]
    lines += [f"not run: {what}: {why}" for what, why in not_run(result)]
    return "\n".join([*lines, f"report: {run / 'report.html'}"])
