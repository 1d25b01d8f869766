"""The stage: its record, engines that cannot run here, and mismatches that must not hide."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from triggerforge.benchmark.run import benchmark
from triggerforge.compression.onnx_file import read_onnx
from triggerforge.config.benchmark import BenchmarkConfig, LatencyConfig, ParityConfig
from triggerforge.data.dataset import Splits
from triggerforge.data.scores import read_logits
from triggerforge.errors import DataError, ParityError
from triggerforge.export.files import FLOAT_FILE, QUANTIZED_FILE
from triggerforge.export.runtime import EngineSource
from triggerforge.pipeline import check_gates

CONFIG = BenchmarkConfig(
    parity=ParityConfig(random_events=50, engine_events={"alir": 100}),
    latency=LatencyConfig(engines=("onnxruntime-quantized", "rtl"), batches=(1,), calls=30),
)


def run(source: EngineSource, splits: Splits, folder: Path, **more: Any) -> dict[str, Any]:
    benchmark(CONFIG.model_copy(update=more), source, splits, "net", 1, folder)
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


@pytest.fixture(scope="module")
def record(
    source: EngineSource, splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("benchmark")
    found = run(source, splits, folder)
    logits = read_logits(folder)
    assert logits is not None
    expected = source.quantized.predict(splits.test.quantized_x[:100])
    np.testing.assert_array_equal(logits, expected.astype(np.float32))
    return found


def test_every_pair_and_kind_of_input_has_a_row(record: dict[str, Any]) -> None:
    rows = {(r["reference"], r["candidate"], r["inputs"]): r for r in record["parity"]}
    kinds = ("test", "extremes", "LSB", "past the range", "one input", "random bits")
    exact = {("hgq2", e, k) for e in ("alir", "onnxruntime-quantized", "native-int") for k in kinds}
    assert set(rows) == exact | {("torch", "onnxruntime", "test")}
    assert all(r["mismatches"] == 0 for r in rows.values())
    assert all(rows[key]["tolerance_lsb"] == 0 and rows[key]["max_lsb"] == 0 for key in exact)
    assert rows["hgq2", "alir", "test"]["events"] == 100
    assert rows["hgq2", "onnxruntime-quantized", "test"]["events"] == 400
    check_gates(record)


def test_engines_that_cannot_run_are_named_with_the_reason(record: dict[str, Any]) -> None:
    not_run = record["benchmark"]["not_run"]
    assert set(not_run) == {"hls4ml", "rtl"}
    assert "firmware folder" in not_run["rtl"]


def test_the_audit_counts_events_that_leave_each_range(
    record: dict[str, Any], splits: Splits
) -> None:
    audit = {entry["name"]: entry for entry in record["input_audit"]}
    outside = (splits.test.x[:, 1] < 0) | (splits.test.x[:, 1] >= 8)
    assert audit["x1"]["saturated"] == int(outside.sum())
    assert audit["x1"]["events"] == 400


def test_firmware_metrics_say_whose_outputs_they_are(record: dict[str, Any]) -> None:
    metrics = record["metrics"]["firmware"]
    assert (metrics["engine"], metrics["events"]) == ("alir", 100)
    assert 0 <= metrics["accuracy"] <= 1


def test_latency_has_both_modes_and_the_clock_is_stated(record: dict[str, Any]) -> None:
    assert {(r["engine"], r["io"]) for r in record["latency"]} == {
        ("onnxruntime-quantized", "copy"),
        ("onnxruntime-quantized", "bound"),
    }
    assert record["benchmark"]["timer_overhead_ns"] > 0


def damaged(source: EngineSource, folder: Path, file: str, initializer: str) -> EngineSource:
    """The same export with one weight changed."""
    for name in (FLOAT_FILE, QUANTIZED_FILE):
        model = read_onnx(source.export_folder / name)
        if name == file:
            weight = next(
                w for w in model.graph.initializer if initializer in w.name and len(w.dims) == 2
            )
            values = onnx.numpy_helper.to_array(weight) * 2
            weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        (folder / name).write_bytes(model.SerializeToString())
    return replace(source, export_folder=folder)


@pytest.mark.parametrize(
    ("file", "candidate"),
    [(QUANTIZED_FILE, "onnxruntime-quantized"), (FLOAT_FILE, "onnxruntime")],
)
def test_a_changed_weight_is_seen_recorded_and_fails_the_run(
    source: EngineSource,
    splits: Splits,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    candidate: str,
) -> None:
    export_folder, folder = tmp_path / "export", tmp_path / "benchmark"
    export_folder.mkdir()
    folder.mkdir()
    record = run(damaged(source, export_folder, file, "weight"), splits, folder)
    bad = [r for r in record["parity"] if r["mismatches"]]
    assert {r["candidate"] for r in bad} == {candidate}
    assert bad[0]["examples"][0]["expected_lsb"] != bad[0]["examples"][0]["got_lsb"]
    assert f"parity: {candidate} differs" in capsys.readouterr().err
    with pytest.raises(ParityError, match=candidate):
        check_gates(record)


def test_no_test_events_is_an_error(source: EngineSource, splits: Splits, tmp_path: Path) -> None:
    empty = replace(splits, test=splits.test.take(slice(0, 0)))
    with pytest.raises(DataError, match="test split is empty"):
        benchmark(CONFIG, source, empty, "net", 1, tmp_path)


def test_one_class_missing_is_said_instead_of_metrics(
    source: EngineSource, splits: Splits, tmp_path: Path
) -> None:
    only = replace(splits, test=splits.test.take(np.flatnonzero(splits.test.y != 2)))
    record = run(source, only, tmp_path)
    assert "t" in record["metrics"]["firmware"]["not_run"]
