"""The whole stage: record, folders, missing tools, kill and resume, mismatches."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.firmware import (
    FirmwareConfig,
    HlsConfig,
    RtlConfig,
    SynthesisConfig,
)
from triggerforge.errors import (
    ArtifactError,
    DataError,
    MissingToolError,
    ModelError,
    ParityError,
    ToolFailedError,
)
from triggerforge.export.runtime import ENGINES, EngineSource
from triggerforge.firmware import build as stage
from triggerforge.firmware import engines as _engines  # noqa: F401 (registers)
from triggerforge.firmware import hls_part, rtl_part
from triggerforge.firmware.build import build
from triggerforge.firmware.hls import write_project
from triggerforge.firmware.pipelining import pipeline
from triggerforge.firmware.resources import count_resources
from triggerforge.firmware.rtl import write_rtl
from triggerforge.firmware.steps import part
from triggerforge.known_engines import KNOWN
from triggerforge.pipeline import check_gates
from triggerforge.result import collect
from triggerforge.tools import find_tool


def _record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


def test_record_of_a_whole_stage(built: Path) -> None:
    record = _record(built)
    rows = record["resources"]
    assert rows["method"] == "yosys"
    assert rows["lut"] > 0 and rows["ff"] > 0
    assert rows["dsp"] == rows["bram"] == 0
    assert rows["ii"] == 1
    assert rows["latency_ns"] == rows["latency_cycles"] * rows["clock_ns"]
    assert rows["shares"]["lut"]["slr_percent"] == pytest.approx(
        4 * rows["shares"]["lut"]["part_percent"]
    )
    firmware = record["firmware"]
    assert firmware["rtl"]["latency_method"] == "simulation"
    for name in ("hls4ml", "rtl"):
        assert firmware[name]["check"]["mismatches"] == 0
        assert firmware[name]["check"]["events"] == 40
    assert set(firmware["not_run"]) == {"hls4ml vendor synthesis"}
    assert "vitis was not found" in firmware["not_run"]["hls4ml vendor synthesis"]


def test_nothing_holds_the_path_where_it_was_built(built: Path) -> None:
    old = str(built.with_name(".firmware.partial")).encode()
    holders = [p for p in built.rglob("*") if p.is_file() and old in p.read_bytes()]
    assert [p.name for p in holders if p.suffix != ".log"] == []


def test_no_part_is_left_half_built(built: Path) -> None:
    assert {p.name for p in built.iterdir()} == {"hls4ml", "rtl", "synthesis", "record.json"}


def test_test_benches_lie_beside_the_firmware(built: Path) -> None:
    data = built / "hls4ml" / "tb_data"
    assert len((data / "tb_input_features.dat").read_text().splitlines()) == 40
    assert len((data / "tb_output_predictions.dat").read_text().splitlines()) == 40
    bench = {p.name for p in (built / "rtl" / "bench").iterdir()}
    assert bench >= {"Makefile", "testbench.sv", "vectors_in.hex", "vectors_out.hex"}
    assert (built / "rtl" / "src" / "tagger.xdc").is_file()
    assert (built / "rtl" / "build_vivado_prj.tcl").is_file()


@pytest.fixture
def source(quantized: QuantizedModel, built: Path) -> EngineSource:
    return EngineSource(quantized=quantized, firmware_folder=built)


@pytest.mark.parametrize("name", ["hls4ml", "rtl"])
def test_engine_gives_the_models_bits(
    quantized: QuantizedModel, source: EngineSource, random_bits: Callable[[int], Any], name: str
) -> None:
    x = random_bits(3000)
    engine = ENGINES[name](source)
    assert (engine.name, engine.model) == (name, "quantized")
    np.testing.assert_array_equal(engine.predict(x), quantized.predict(x))


@pytest.mark.parametrize("name", ["hls4ml", "rtl"])
def test_engine_puts_its_inputs_on_the_grid(
    quantized: QuantizedModel, source: EngineSource, name: str
) -> None:
    """Ties, numbers between the steps, and beyond the range."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 3)).astype(np.float32) * 3
    x[::2] = np.round(x[::2] * 32) / 32 + 1 / 64
    on_grid = quantized.contract.quantize(x)
    assert (on_grid != x).any(axis=1).all()
    np.testing.assert_array_equal(ENGINES[name](source).predict(x), quantized.compute(on_grid))
    with pytest.raises(DataError, match="NaN or inf"):
        ENGINES[name](source).predict(np.full((1, 3), np.nan, np.float32))


@pytest.mark.parametrize("name", ["hls4ml", "rtl"])
def test_engine_gives_them_to_eight_threads_too(
    quantized: QuantizedModel, source: EngineSource, random_bits: Callable[[int], Any], name: str
) -> None:
    engine, parts = ENGINES[name](source), np.array_split(random_bits(800), 8)
    with ThreadPoolExecutor(len(parts)) as pool:
        found = list(pool.map(engine.predict, parts))
    assert KNOWN[name].threads
    np.testing.assert_array_equal(np.concatenate(found), quantized.predict(np.concatenate(parts)))


@pytest.mark.parametrize("name", ["hls4ml", "rtl"])
def test_bound_engine_writes_in_place(
    quantized: QuantizedModel, source: EngineSource, random_bits: Callable[[int], Any], name: str
) -> None:
    x = random_bits(5)
    y = np.zeros((len(x), 2))
    call = ENGINES[name](source).bind(x, y)
    call()
    np.testing.assert_array_equal(y, quantized.predict(x))
    x[:] = x[::-1].copy()
    call()
    np.testing.assert_array_equal(y, quantized.predict(x))


@pytest.mark.parametrize("name", ["hls4ml", "rtl"])
def test_engine_without_events(source: EngineSource, name: str) -> None:
    assert ENGINES[name](source).predict(np.zeros((0, 3), np.float32)).shape == (0, 2)


@pytest.mark.parametrize("name", ["hls4ml", "rtl"])
@pytest.mark.parametrize("x", [np.zeros((4, 2), np.float32), np.zeros((4, 3))])
def test_engine_refuses_another_shape_or_type(source: EngineSource, name: str, x: Any) -> None:
    with pytest.raises(ModelError, match="the model takes float32"):
        ENGINES[name](source).predict(x)


@pytest.mark.parametrize("name", ["hls4ml", "rtl"])
def test_engine_needs_its_folder(quantized: QuantizedModel, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="needs a firmware folder"):
        ENGINES[name](EngineSource(quantized=quantized))
    with pytest.raises(ArtifactError, match="run that stage again"):
        ENGINES[name](EngineSource(quantized=quantized, firmware_folder=tmp_path))


@pytest.mark.parametrize(
    ("name", "library"), [("hls4ml", "firmware/tagger.so"), ("rtl", "simulation/simulation.so")]
)
@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_damaged_library_is_refused(
    quantized: QuantizedModel, built: Path, tmp_path: Path, name: str, library: str, damage: str
) -> None:
    copy = tmp_path / "firmware"
    shutil.copytree(built / name, copy / name)
    path = copy / name / library
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(ArtifactError, match="run the stage firmware again"):
        ENGINES[name](EngineSource(quantized=quantized, firmware_folder=copy))


def test_missing_tools_are_said_and_all_else_is_built(
    quantized: QuantizedModel, config: FirmwareConfig, no_tools: None, tmp_path: Path
) -> None:
    build(config, quantized, tmp_path)
    record = _record(tmp_path)
    reasons = record["firmware"]["not_run"]
    assert set(reasons) == {
        "hls4ml C simulation",
        "hls4ml vendor synthesis",
        "RTL simulation",
        "yosys synthesis",
    }
    assert all("was not found" in reason and "install" in reason for reason in reasons.values())
    rows = record["resources"]
    assert rows["method"] == "estimate"
    assert rows["lut"] > 0 and rows["ff"] > 0 and rows["dsp"] is None
    assert record["firmware"]["rtl"]["latency_method"] == "pipeline stages"
    assert (tmp_path / "hls4ml" / "firmware" / "tagger.cpp").is_file()
    assert (tmp_path / "rtl" / "src" / "tagger.v").is_file()
    for name in ("hls4ml", "rtl"):
        with pytest.raises(MissingToolError, match="was not built.*install"):
            ENGINES[name](EngineSource(quantized=quantized, firmware_folder=tmp_path))


def test_parts_can_be_left_out(quantized: QuantizedModel, no_tools: None, tmp_path: Path) -> None:
    config = FirmwareConfig.model_validate(
        {"vectors": 20, "hls": {"enabled": False}, "synthesis": {"tool": "none"}}
    )
    build(config, quantized, tmp_path)
    record = _record(tmp_path)
    assert "hls4ml" not in record["firmware"]
    assert "set it to yosys" in record["firmware"]["not_run"]["yosys synthesis"]
    neither = FirmwareConfig.model_validate(
        {"vectors": 20, "hls": {"enabled": False}, "rtl": {"enabled": False}}
    )
    other = tmp_path / "other"
    other.mkdir()
    build(neither, quantized, other)
    assert _record(other) == {"firmware": {"not_run": {}}}


@pytest.mark.parametrize(
    ("part_name", "hint"),
    [
        ("xc7nonsense", "known: xc7vx690t"),
        ("xcvu31p-fsvh2104-2-e", "did you mean 'xcvu13p'"),
        ("XCVU13P-FLGA2577-2-E", ""),
    ],
)
def test_part_that_is_not_in_the_table_is_said(
    quantized: QuantizedModel,
    no_tools: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part_name: str,
    hint: str,
) -> None:
    config = FirmwareConfig.model_validate(
        {"vectors": 20, "part": part_name, "hls": {"enabled": False}}
    )
    build(config, quantized, tmp_path)
    record = _record(tmp_path)
    said = [line for line in capsys.readouterr().err.splitlines() if "table of devices" in line]
    assert bool(record["resources"]["shares"]) == (not hint)
    assert len(said) == bool(hint)
    reason = record["firmware"]["not_run"].get("shares of the part", "")
    assert hint in reason and all(reason in line for line in said)


def test_synthesis_that_takes_too_long_leaves_an_estimate(
    quantized: QuantizedModel, config: FirmwareConfig, tmp_path: Path
) -> None:
    design = pipeline(quantized.alir, config.clock_ns, 0.1)
    write_rtl(config, design, tmp_path / "rtl")
    short = config.model_copy(update={"synthesis": SynthesisConfig(timeout_s=0.01)})
    facts = count_resources(short, design, design.stages, tmp_path / "rtl", tmp_path / "synthesis")
    assert facts["resources"]["method"] == "estimate"
    assert "longer than 0.01 s" in facts["not_run"]["yosys synthesis"]


def test_large_design_keeps_the_estimate(
    quantized: QuantizedModel, config: FirmwareConfig, tmp_path: Path
) -> None:
    design = pipeline(quantized.alir, config.clock_ns, 0.1)
    small = config.model_copy(update={"synthesis": SynthesisConfig(max_luts=10)})
    facts = count_resources(small, design, design.stages, tmp_path, tmp_path / "synthesis")
    assert facts["resources"]["method"] == "estimate"
    assert facts["resources"]["lut"] == design.lut_estimate
    assert "max_luts is 10: raise it" in facts["not_run"]["yosys synthesis"]


def test_synthesis_that_fails_is_an_error_with_the_log(
    quantized: QuantizedModel, config: FirmwareConfig, tmp_path: Path
) -> None:
    design = pipeline(quantized.alir, config.clock_ns, 0.1)
    write_rtl(config, design, tmp_path / "rtl")
    (tmp_path / "rtl" / "src" / "logic0.v").write_text("module logic0(; endmodule")
    with pytest.raises(ToolFailedError, match="syntax error"):
        count_resources(config, design, 1, tmp_path / "rtl", tmp_path / "synthesis")


def test_vhdl_without_ghdl_is_written_but_not_simulated(
    quantized: QuantizedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    config = FirmwareConfig.model_validate(
        {"vectors": 20, "hls": {"enabled": False}, "rtl": {"language": "vhdl"}}
    )
    build(config, quantized, tmp_path)
    reasons = _record(tmp_path)["firmware"]["not_run"]
    assert set(reasons) == {"RTL simulation", "yosys synthesis"}
    assert (tmp_path / "rtl" / "src" / "tagger.vhd").is_file()


@pytest.mark.skipif(not find_tool("ghdl").found, reason="ghdl is not installed")
def test_vhdl_gives_the_models_bits(quantized: QuantizedModel, tmp_path: Path) -> None:
    config = FirmwareConfig.model_validate(
        {"vectors": 100, "hls": {"enabled": False}, "rtl": {"language": "vhdl"}}
    )
    build(config, quantized, tmp_path)
    record = _record(tmp_path)
    assert record["firmware"]["not_run"] == {}
    assert record["firmware"]["rtl"]["check"]["mismatches"] == 0
    assert record["resources"]["method"] == "yosys"


class Killed(BaseException):
    """Stands for a signal that no handler of the stage sees."""


def test_killed_stage_keeps_whole_parts_and_rebuilds_the_others(
    quantized: QuantizedModel,
    config: FirmwareConfig,
    no_tools: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rtl_part, "write_bench", killed)
        with pytest.raises(Killed):
            build(config, quantized, tmp_path)
    assert (tmp_path / ".rtl.building").is_dir()
    assert not (tmp_path / "rtl").exists()
    assert not (tmp_path / "record.json").exists()
    (tmp_path / ".rtl.building" / "src" / "leftover.v").write_text("module half_written (")
    kept = (tmp_path / "hls4ml" / "facts.json").stat().st_mtime_ns
    monkeypatch.setattr(stage, "build_hls", killed)  # a whole part is not built twice
    build(config, quantized, tmp_path)
    assert (tmp_path / "hls4ml" / "facts.json").stat().st_mtime_ns == kept
    assert not (tmp_path / ".rtl.building").exists()
    assert not (tmp_path / "rtl" / "src" / "leftover.v").exists()
    assert (tmp_path / "rtl" / "bench" / "Makefile").is_file()


def test_part_is_whole_or_absent(tmp_path: Path) -> None:
    def half(folder: Path) -> dict[str, Any]:
        (folder / "file").write_text("half")
        raise Killed

    def whole(folder: Path) -> dict[str, Any]:
        assert list(folder.iterdir()) == []
        (folder / "file").write_text("whole")
        return {"fact": 1}

    with pytest.raises(Killed):
        part(tmp_path, "some", half)
    assert part(tmp_path, "some", whole) == {"fact": 1}
    assert part(tmp_path, "some", half) == {"fact": 1}
    assert (tmp_path / "some" / "file").read_text() == "whole"


def test_mismatch_is_said_and_recorded_and_fails_the_run_at_its_end(
    quantized: QuantizedModel,
    config: FirmwareConfig,
    no_tools: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def differs(config: Any, quantized: Any, inputs: Any, expected: Any, folder: Path) -> Any:
        got = expected.copy()
        got[7, 1] += 3 * quantized.output_formats[1].lsb
        check = hls_part.compare(got, expected, quantized.output_formats)
        return {"check": check, "not_run": {}}

    monkeypatch.setattr(stage, "build_hls", differs)
    build(config, quantized, tmp_path)
    record = _record(tmp_path)
    assert record["resources"]["lut"] > 0  # what comes after the mismatch is there
    sample = record["firmware"]["hls4ml"]["check"]["samples"][0]
    assert (sample["event"], sample["output"]) == (7, 1)
    assert sample["got_lsb"] - sample["expected_lsb"] == 3
    said = capsys.readouterr().err
    assert "hls4ml: 1 of 80 outputs differ" in said
    assert f"expected {sample['expected_lsb']:g} LSB, got {sample['got_lsb']:g} LSB" in said
    (row,) = collect([tmp_path], seed=1)["parity"]
    assert (row["reference"], row["candidate"], row["inputs"]) == ("alir", "hls4ml", "test bench")
    assert (row["events"], row["outputs"], row["mismatches"]) == (40, 80, 1)
    assert (row["max_lsb"], row["tolerance_lsb"], row["examples"]) == (3, 0, [sample])
    with pytest.raises(ParityError, match=r"hls4ml: 1 of 80 outputs \(test bench inputs\)"):
        check_gates(record)


def test_parts_that_agree_pass_the_gates_and_have_no_row(built: Path) -> None:
    record = _record(built)
    assert "parity" not in record
    check_gates(record)


def _with_backend(config: FirmwareConfig, backend: str) -> FirmwareConfig:
    return config.model_copy(update={"hls": HlsConfig.model_validate({"backend": backend})})


def _refuse(*arguments: Any, output_dir: str, **options: Any) -> None:
    (Path(output_dir) / "firmware").mkdir()
    (Path(output_dir) / "half.cpp").write_text("half written")
    raise AssertionError("Backend not tested\nand more lines")


@pytest.mark.parametrize("backend", ["Catapult", "Quartus", "oneAPI"])
def test_backend_that_refuses_the_model_is_told_and_the_rest_is_built(
    quantized: QuantizedModel,
    config: FirmwareConfig,
    no_tools: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
) -> None:
    monkeypatch.setattr("hls4ml.converters.convert_from_keras_model", _refuse)
    build(_with_backend(config, backend), quantized, tmp_path)
    record = _record(tmp_path)
    reason = record["firmware"]["not_run"]["hls4ml"]
    assert f"hls4ml ({backend}, latency) refuses the model: AssertionError: Backend" in reason
    assert "choose firmware.hls.backend Vitis" in reason
    assert "\n" not in reason
    assert {p.name for p in (tmp_path / "hls4ml").iterdir()} == {"facts.json", "hls4ml.log"}
    assert (tmp_path / "rtl" / "src" / "tagger.v").is_file()
    assert record["resources"]["lut"] > 0
    with pytest.raises(MissingToolError, match="engine 'hls4ml' was not built: .*Backend not"):
        ENGINES["hls4ml"](EngineSource(quantized=quantized, firmware_folder=tmp_path))


def test_libero_without_its_vendors_tools_says_which(
    quantized: QuantizedModel, config: FirmwareConfig, no_tools: None, tmp_path: Path
) -> None:
    build(_with_backend(config, "Libero"), quantized, tmp_path)
    reason = _record(tmp_path)["firmware"]["not_run"]["hls4ml"]
    assert "shls was not found on PATH; install SmartHLS, or choose" in reason
    assert (tmp_path / "rtl" / "src" / "tagger.v").is_file()


@pytest.mark.parametrize("backend", ["Vitis", "Vivado"])
def test_backend_that_has_to_work_stops_the_stage(
    quantized: QuantizedModel,
    config: FirmwareConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
) -> None:
    monkeypatch.setattr("hls4ml.converters.convert_from_keras_model", _refuse)
    with pytest.raises(ModelError, match="refuses the model: AssertionError: Backend not tested;"):
        build(_with_backend(config, backend), quantized, tmp_path)
    assert not (tmp_path / "hls4ml").exists()


@pytest.mark.parametrize(("backend", "fatal"), [("Quartus", False), ("Vitis", True)])
def test_project_that_gcc_does_not_compile(
    quantized: QuantizedModel,
    config: FirmwareConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    fatal: bool,
) -> None:
    def spoilt(*arguments: Any) -> None:
        write_project(*arguments)
        (arguments[-1] / "firmware" / "tagger.cpp").write_text("this is no C++")

    monkeypatch.setattr(hls_part, "write_project", spoilt)
    chosen = _with_backend(config, backend).model_copy(update={"rtl": RtlConfig(enabled=False)})
    if fatal:
        with pytest.raises(ToolFailedError, match="errors in its log:\nfirmware/tagger.cpp:1:1"):
            build(chosen, quantized, tmp_path)
        return
    build(chosen, quantized, tmp_path)
    reasons = _record(tmp_path)["firmware"]["not_run"]
    assert "g++ does not compile what hls4ml writes" in reasons["hls4ml C simulation"]
    assert "choose firmware.hls.backend Vitis" in reasons["hls4ml C simulation"]
    assert (tmp_path / "hls4ml" / "firmware" / "tagger.cpp").is_file()
    assert "tagger.cpp:1:1: error" in (tmp_path / "hls4ml" / "g++.log").read_text()
    with pytest.raises(MissingToolError, match="engine 'hls4ml' was not built: g\\+\\+ does not"):
        ENGINES["hls4ml"](EngineSource(quantized=quantized, firmware_folder=tmp_path))
