"""The main job from end to end, small but real: every stage, every tool, and kill -9 in each."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from triggerforge.cli import main
from triggerforge.pipeline import STAGES

ROOT = Path(__file__).parents[1]
QKERAS = ROOT / ".venv-qkeras" / "bin" / "python"
ALL_ENGINES = "anomaly_vae"
"""the run that times all of them"""
EXACT = {"alir", "onnxruntime-quantized", "native-int", "hls4ml", "rtl"}
AS_SHIPPED = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
"""without what tests/conftest.py has XLA do otherwise"""
OPTIONAL = ("scores", "trigger")
"""stages that the demo does not have"""
SECTIONS = {
    "version",
    "context",
    "data",
    "metrics",
    "compression",
    "parity",
    "resources",
    "latency",
}


def arguments(config: str, runs: Path, command: str = "run") -> list[str]:
    folder = "examples" if config == "residual" else "configs"
    # scores need all of their background, and what is read from a file stays as it is
    few = config == "nanoaod" or config.startswith("anomaly")
    values = [] if few else ["generate.jets=900"]
    if config != ALL_ENGINES:
        values.append("benchmark.latency.engines=[native-int]")
    words = [word for value in values for word in ("--set", value)]
    return [command, str(ROOT / folder / f"{config}.yaml"), "--quick", "--runs", str(runs), *words]


def run(config: str, runs: Path, command: str = "run") -> dict[str, Any]:
    """The command's own function in this process: its imports alone would take 20 seconds a run.

    Another command than `run` ends with its stage: a report takes as long as the firmware.
    """
    with contextlib.chdir(ROOT):
        assert main(arguments(config, runs, command)) == 0
    result: dict[str, Any] = json.loads((runs / f"{config}-quick" / "result.json").read_text())
    return result


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of runs for all workers: what has the same events generates them once."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return shared / "runs"


def require_parity(result: dict[str, Any]) -> None:
    exact = [row for row in result["parity"] if row["candidate"] in EXACT]
    assert {row["candidate"] for row in exact} == EXACT
    assert all(row["mismatches"] == 0 and row["tolerance_lsb"] == 0 for row in exact)
    assert all(row["events"] > 0 for row in exact)


def require_report(runs: Path, config: str, command: str) -> None:
    report = runs / f"{config}-quick" / "report.html"
    assert report.stat().st_size > 10_000 if command == "run" else not report.exists()


LONG = pytest.mark.long


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        "jets5_deepsets",
        "residual",
        pytest.param("jets5_cnn", marks=LONG),
        pytest.param("jets5_jedi_linear", marks=LONG),
    ],
)
def test_every_model_ends_in_verified_firmware(config: str, runs: Path) -> None:
    result = run(config, runs, "benchmark")
    assert set(result) >= SECTIONS
    require_parity(result)
    require_report(runs, config, "benchmark")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "command"),
    [
        ("anomaly_vae", "run"),
        pytest.param("anomaly_axol1tl", "trigger", marks=LONG),
        pytest.param("anomaly_cicada", "trigger", marks=LONG),
    ],
)
def test_every_anomaly_trigger_ends_in_verified_firmware(
    config: str, command: str, runs: Path
) -> None:
    result = run(config, runs, command)
    assert set(result) >= SECTIONS | {"rates", "trigger"}
    require_parity(result)
    assert {row["model"] for row in result["rates"]} == {"float", "quantized", "firmware"}
    assert result["resources"]["ii"] == 1
    assert set(result["metrics"]["quantized"]["auc"]) == {"A_4l", "HH_4b"}
    assert result["compression"]["measure"] == "overlap"
    require_report(runs, config, command)


@pytest.mark.slow
def test_a_users_root_file_comes_back_with_scores(runs: Path) -> None:
    import uproot

    result = run("nanoaod", runs)
    require_parity(result)
    (scored,) = (runs / "nanoaod-quick" / "scores").glob("*.root")
    with uproot.open(scored) as file:
        tree = file["Events"]
        names = tree.keys(filter_name="*tf_score_*")
        assert len(names) == len(result["data"]["classes"])
        assert tree.num_entries == 1624


@pytest.mark.slow
@pytest.mark.skipif(not QKERAS.is_file(), reason="no QKeras environment; `make qkeras` makes it")
def test_a_qkeras_model_ends_in_verified_firmware(runs: Path) -> None:
    result = run("jets5_qkeras", runs, "benchmark")
    require_parity(result)
    rows = {row["candidate"]: row for row in result["parity"]}
    assert rows["qkeras"]["mismatches"] == 0 and rows["qkeras-hls4ml"]["mismatches"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "stages",
    [
        ("generate", "compress"),
        pytest.param(tuple(s.name for s in STAGES if s.name not in OPTIONAL), marks=LONG),
    ],
    ids=["two-that-go-on", "every-stage"],
)
def test_kill_9_loses_nothing(stages: tuple[str, ...], tmp_path: Path) -> None:
    """A process killed in each stage in turn; then the run ends well and repeats in no time."""
    folder = tmp_path / "demo-quick"
    for stage in stages:
        _kill_in(stage, folder, tmp_path)
        require_whole_stages(folder)
    result = run("demo", tmp_path)
    assert set(result) >= SECTIONS
    require_parity(result)
    require_report(tmp_path, "demo", "run")
    made = {s: (folder / s / ".stage.json").stat().st_mtime_ns for s in _stages_of(folder)}
    assert run("demo", tmp_path) == result
    assert made == {s: (folder / s / ".stage.json").stat().st_mtime_ns for s in _stages_of(folder)}


def _stages_of(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def require_whole_stages(folder: Path) -> None:
    """Whatever stands under a stage's own name is sealed, and every file is the sealed one."""
    for stage in (folder / name for name in _stages_of(folder)):
        sealed = json.loads((stage / ".stage.json").read_text())["files"]
        sums = {f: hashlib.sha256((stage / f).read_bytes()).hexdigest() for f in sealed}
        assert sums == {f: entry["sha256"] for f, entry in sealed.items()}


def _at_work(partial: Path) -> bool:
    """Whether a stage has written anything but its key."""
    try:
        return any(path.name != ".key" for path in partial.rglob("*"))
    except FileNotFoundError:
        return False  # renamed meanwhile


def _kill_in(stage: str, folder: Path, runs: Path) -> None:
    call = "import sys; from triggerforge.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", call, *arguments("demo", runs)]
    with (runs / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=AS_SHIPPED, stderr=log, stdout=log, start_new_session=True
        )
    partial = folder / f".{stage}.partial"
    deadline = time.monotonic() + 400
    while not _at_work(partial) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
        if (folder / stage).exists():
            break  # it leaves all its files at once
    assert process.poll() is None, (runs / "log").read_text()[-4000:]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
