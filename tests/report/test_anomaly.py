"""Anomaly triggers in two tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.scores import write_logits
from triggerforge.data.splits import save_splits
from triggerforge.report.anomaly import firmware_table, main, physics_table, read_run

METRICS = {"auc": {"tt": 0.9, "HH": 0.95}, "auc_err": {"tt": 0.01, "HH": 0.02}}


def rate(model: str, khz: float, tt: float) -> dict[str, Any]:
    found = {"efficiency": {"tt": tt, "HH": 0.5}, "efficiency_err": {"tt": 0.01, "HH": 0.02}}
    return {"model": model, "target_khz": khz, **found}


RESULT: dict[str, Any] = {
    "version": 1,
    "metrics": {"float": METRICS, "quantized": METRICS | {"auc": {"tt": 0.89, "HH": 0.94}}},
    "training": {"model": "vae", "multiplications": 2384, "teacher": {"metrics": METRICS}},
    "compression": {"ebops": 12227, "chosen": {"accuracy": 0.991}},
    "resources": {"latency_ns": 55.0, "latency_cycles": 11, "ii": 1, "lut": 10038, "ff": 5092},
    "parity": [
        {"outputs": 100, "mismatches": 0, "tolerance_lsb": 0},
        {"outputs": 7, "mismatches": 1, "tolerance_lsb": 0.5},
    ],
    "rates": [rate("float", 1.0, 0.10), rate("quantized", 1.0, 0.09), rate("float", 10.0, 0.3)],
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_firmware_is_that_of_the_record() -> None:
    header, _, line = firmware_table({"mine": RESULT}).splitlines()
    row = dict(zip(cells(header), cells(line), strict=True))
    assert row["latency"] == "55 ns (11 cycles)" and row["LUT"] == "10,038"
    assert row["overlap with float [%]"] == "99.1" and row["multiply-adds"] == "2,384"
    assert row["exact outputs"] == "100" and row["mismatches"] == "0"


def test_each_form_has_a_line_and_each_signal_a_column() -> None:
    header, _, *lines = physics_table({"mine": RESULT}).splitlines()
    assert cells(header) == ["run", "form", "tt", "HH"]
    assert [cells(line)[1] for line in lines] == ["teacher", "float", "quantised"]
    assert cells(lines[0])[2] == "0.900 ± 0.010"
    assert cells(lines[1])[2] == "0.900 ± 0.010; 10.0 ± 1.0; 30.0 ± 1.0"
    assert cells(lines[2])[2] == "0.890 ± 0.010; 9.0 ± 1.0; –"


def test_what_was_not_run_is_a_dash() -> None:
    assert set(cells(firmware_table({"empty": {"version": 1}}).splitlines()[2])[1:]) == {"–"}
    assert len(physics_table({"empty": {"version": 1}}).splitlines()) == 3


@pytest.mark.parametrize("background", [("q",), ()])
def test_a_run_that_is_only_trained_has_rates(
    make_dataset: Callable[..., Dataset], tmp_path: Path, background: tuple[str, ...]
) -> None:
    test, few = make_dataset(90_000), make_dataset(9)
    scores = np.random.default_rng(0).uniform(0, 1, len(test)) + (test.y == 2)
    for name in ("train", "data"):
        (tmp_path / name).mkdir()
    write_logits(tmp_path / "train", scores[:, None].astype(np.float32))
    save_splits(Splits(few, few, test, background), tmp_path / "data")
    (tmp_path / "result.json").write_text(json.dumps({"version": 1}))
    rows = read_run(tmp_path).get("rates", [])
    if not background:
        assert rows == []
        return
    (row,) = rows  # 30,000 crossings do not support 1 kHz
    assert row["model"] == "float" and row["target_khz"] == 10.0
    assert row["efficiency"]["t"] == 1.0  # all of them are above the background
    assert row["efficiency"]["g"] == pytest.approx(10 / (2340 * 11.2455), rel=0.6)


def test_the_command_reads_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "result.json").write_text(json.dumps(RESULT))
    assert main([str(tmp_path / "mine")]) == 0
    assert capsys.readouterr().out.count("| mine |") == 4
    assert main([str(tmp_path / "none")]) == 1
    assert "error:" in capsys.readouterr().err
