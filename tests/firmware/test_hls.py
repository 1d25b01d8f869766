"""The hls4ml project: what it says of the ports, what it refuses, how the compiler fails."""

import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import MissingToolError, ModelError, ToolFailedError
from triggerforge.firmware.csim import CSimulation
from triggerforge.firmware.hls import compile_project, port_format, write_project
from triggerforge.firmware.vendor import read_csynth, vendor_synthesis
from triggerforge.fixedpoint import FixedFormat
from triggerforge.tools import Tool, require


def _write(config: FirmwareConfig, quantized: QuantizedModel, folder: Path) -> None:
    inputs = corner_inputs(quantized.contract, 10, 1)
    write_project(config, quantized, inputs, quantized.predict(inputs), folder)


@pytest.fixture
def project(config: FirmwareConfig, quantized: QuantizedModel, tmp_path: Path) -> Path:
    _write(config, quantized, tmp_path / "hls4ml")
    return tmp_path / "hls4ml"


def test_port_format_holds_every_input(quantized: QuantizedModel) -> None:
    # ap_fixed<6,3>, ap_ufixed<4,2> and ap_fixed<8,2>: three integer bits and six of fraction
    found = port_format(quantized.contract)
    assert (found.signed, found.integer, found.fraction) == (True, 3, 6)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["ap_ufixed<4,4>", "ap_ufixed<6,1>"], (False, 4, 5)),
        (["ap_ufixed<4,4>", "ap_fixed<6,1>"], (True, 5, 5)),
        (["ap_fixed<4,6>"], (True, 6, -2)),
    ],
)
def test_sign_takes_a_bit_of_its_own(texts: list[str], expected: tuple[bool, int, int]) -> None:
    formats = [FixedFormat.parse(text) for text in texts]
    features = tuple(InputFeature(str(f), "", 0.0, 0, f) for f in formats)
    found = port_format(InputContract(features, (len(features),)))
    assert (found.signed, found.integer, found.fraction) == expected


def test_inputs_too_far_apart_for_one_type_are_named() -> None:
    formats = {"coarse": "ap_fixed<11,12>", "plain": "ap_fixed<8,3>", "fine": "ap_fixed<8,-40>"}
    features = (InputFeature(n, "", 0.0, 0, FixedFormat.parse(f)) for n, f in formats.items())
    with pytest.raises(ModelError, match="'coarse' .*'fine' .* need 60 bits together"):
        port_format(InputContract(tuple(features), (3,)))


def test_axes_of_a_concatenation_are_counted_as_hls4ml_counts_them(
    config: FirmwareConfig, tmp_path: Path
) -> None:
    """Keras counts the batch, and a file of others may say 1 where ours says -1."""
    fmt = FixedFormat.parse("ap_fixed<5,2,RND,SAT>")
    contract = InputContract(tuple(InputFeature(n, "", 0.0, 0, fmt) for n in "ab"), (2,))
    given = keras.Input((2,), name="x")
    parts = [hgq.layers.QDense(2, name=name)(given) for name in ("one", "other")]
    both = keras.layers.Concatenate(axis=1)(parts)
    model = keras.Model(given, hgq.layers.QDense(2, name="out")(both))
    hgq.utils.trace_minmax(model, corner_inputs(contract, 50, 1))
    _write(config, QuantizedModel.from_keras(model, contract, ("a", "b")), tmp_path / "hls4ml")
    assert (tmp_path / "hls4ml" / "firmware" / "tagger.cpp").is_file()


def test_part_clock_and_name_reach_the_vendors_script(project: Path) -> None:
    text = (project / "project.tcl").read_text()
    for line in (
        'set project_name "tagger"',
        'set part "xcvu13p-flga2577-2-e"',
        "set clock_period 5.0",
        "set clock_uncertainty 27%",
    ):
        assert line in text


def saturating_model(integer: int, fraction: int) -> QuantizedModel:
    """Three numbers 0..3 into a quantiser of finer steps and a smaller range, added up."""
    fmt = FixedFormat.parse("ap_ufixed<2,2,RND,SAT>")
    contract = InputContract(tuple(InputFeature(f"in{i}", "", 0.0, 0, fmt) for i in range(3)), (3,))
    datalane = {"default_q_type": "kif", "overflow_mode": "SAT", "i0": integer, "f0": fraction}
    with (
        hgq.config.QuantizerConfigScope(place="all", default_q_type="kbi"),
        hgq.config.QuantizerConfigScope(place="datalane", **datalane),
        hgq.config.LayerConfigScope(enable_ebops=True),
    ):
        given = keras.Input((3,), name="x")
        made = hgq.layers.QDense(1, kernel_initializer="ones", name="sum")(given)
        model = keras.Model(given, made)
    return QuantizedModel.from_keras(model, contract, ("score",))


@pytest.mark.parametrize(("integer", "fraction"), [(-1, 4), (1, 3), (0, 7), (2, 0), (3, 2)])
def test_saturation_ends_where_the_model_says(
    config: FirmwareConfig, tmp_path: Path, integer: int, fraction: int
) -> None:
    quantized = saturating_model(integer, fraction)
    _write(config, quantized, tmp_path)
    compile_project(config, quantized, require("g++"), tmp_path)
    x = np.array(list(product(range(4), repeat=3)), np.float32)
    expected = quantized.predict(x)
    end = min(3.0, 2.0**integer - 2.0**-fraction)
    assert expected.max() == pytest.approx(3 * end, abs=0.2)
    np.testing.assert_array_equal(CSimulation(tmp_path).predict(x), expected)


def test_no_note_holds_the_folder(project: Path) -> None:
    assert str(project) not in (project / "hls4ml_config.yml").read_text()


def test_bench_data_are_the_events(project: Path, quantized: QuantizedModel) -> None:
    x = np.loadtxt(project / "tb_data" / "tb_input_features.dat")
    y = np.loadtxt(project / "tb_data" / "tb_output_predictions.dat")
    np.testing.assert_array_equal(quantized.predict(x), y)


def test_refused_model_is_told_in_hls4mls_words(
    config: FirmwareConfig,
    quantized: QuantizedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        warnings.warn("bit-exactness may be compromised", stacklevel=1)
        raise ValueError("unexpected input layer chain")

    monkeypatch.setattr("hls4ml.converters.convert_from_keras_model", refuse)
    with pytest.raises(ModelError, match=r"refuses the model: .*unexpected input layer chain"):
        _write(config, quantized, tmp_path / "hls4ml")
    assert "may be compromised" in (tmp_path / "hls4ml" / "hls4ml.log").read_text()


def test_compiler_error_shows_the_end_of_the_log(
    config: FirmwareConfig, quantized: QuantizedModel, project: Path
) -> None:
    (project / "firmware" / "tagger.cpp").write_text("this is no C++")
    with pytest.raises(ToolFailedError, match="tagger.cpp:1:1: error"):
        compile_project(config, quantized, require("g++"), project)
    assert not (project / "library.json").exists()


def test_project_without_a_build_script_needs_the_vendor(
    config: FirmwareConfig, quantized: QuantizedModel, tmp_path: Path
) -> None:
    other = config.model_copy(update={"hls": config.hls.model_copy(update={"backend": "oneAPI"})})
    with pytest.raises(MissingToolError, match="oneAPI projects with icpx"):
        compile_project(other, quantized, require("g++"), tmp_path)


def test_compiler_that_leaves_nothing_is_a_failure(
    config: FirmwareConfig, quantized: QuantizedModel, project: Path
) -> None:
    (project / "build_lib.sh").write_text("exit 0\n")
    with pytest.raises(ToolFailedError, match="left 0 libraries"):
        compile_project(config, quantized, require("g++"), project)


CSYNTH = """<profile>
<UserAssignments><TargetClockPeriod>5.00</TargetClockPeriod></UserAssignments>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><EstimatedClockPeriod>4.2</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><Best-caseLatency>9</Best-caseLatency>
<Worst-caseLatency>9</Worst-caseLatency><Interval-min>1</Interval-min>
<Interval-max>1</Interval-max></SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources><BRAM_18K>0</BRAM_18K><DSP>2</DSP><FF>1000</FF><LUT>4321</LUT><URAM>0</URAM></Resources>
<AvailableResources><BRAM_18K>5376</BRAM_18K><DSP>12288</DSP><FF>3456000</FF><LUT>1728000</LUT>
<URAM>1280</URAM></AvailableResources>
</AreaEstimates>
</profile>
"""


class TestVendor:
    """C synthesis by the vendor, which no test machine has: its program is a stand-in."""

    def _with_vitis(self, monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
        program = folder / "vitis-run"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        tool = Tool("vitis", "", "install it", False, command=(str(program),))
        monkeypatch.setattr("triggerforge.firmware.vendor.find_tool", lambda name: tool)

    def _config(self, **hls: Any) -> FirmwareConfig:
        return FirmwareConfig.model_validate({"hls": hls})

    def test_other_backends_are_not_synthesised(self, tmp_path: Path) -> None:
        report, reason = vendor_synthesis(self._config(backend="Vivado"), tmp_path)
        assert report is None and "not Vivado" in reason

    def test_must_be_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._with_vitis(monkeypatch, tmp_path, "exit 1")
        report, reason = vendor_synthesis(self._config(), tmp_path)
        assert report is None and "synthesize: true" in reason

    def test_failure_shows_the_log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._with_vitis(monkeypatch, tmp_path, "echo no licence; exit 2")
        with pytest.raises(ToolFailedError, match="status 2; the end of its log:\nno licence"):
            vendor_synthesis(self._config(synthesize=True), tmp_path)

    def test_run_without_a_report_is_a_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._with_vitis(monkeypatch, tmp_path, "cat build_opt.tcl")
        with pytest.raises(ToolFailedError, match="left no csynth report"):
            vendor_synthesis(self._config(synthesize=True), tmp_path)
        told = (tmp_path / "vitis.log").read_text()
        assert "synth 1" in told and "csim 0" in told

    @pytest.fixture
    def reports(self, tmp_path: Path) -> Path:
        """The reports' folder of a project, as Vitis lays it out."""
        (tmp_path / "project.tcl").write_text('set project_name "tagger"\nset backend "vitis"\n')
        project = tmp_path / "tagger_prj"
        reports = project / "solution1" / "syn" / "report"
        reports.mkdir(parents=True)
        (project / "hls.app").write_text(
            '<project><solutions><solution name="solution1"/></solutions></project>'
        )
        return reports

    def test_report_is_read(self, tmp_path: Path, reports: Path) -> None:
        (reports / "tagger_csynth.xml").write_text(CSYNTH)
        found = read_csynth(tmp_path)
        assert (found["BestLatency"], found["IntervalMin"], found["LUT"]) == ("9", "1", "4321")

    @pytest.mark.parametrize("text", ["", CSYNTH[:200], "<profile></profile>"])
    def test_damaged_report_is_refused(self, tmp_path: Path, reports: Path, text: str) -> None:
        (reports / "tagger_csynth.xml").write_text(text)
        with pytest.raises(ToolFailedError, match="no readable csynth report"):
            read_csynth(tmp_path)

    def test_project_without_a_solution_is_refused(self, tmp_path: Path, reports: Path) -> None:
        (tmp_path / "tagger_prj" / "hls.app").unlink()
        with pytest.raises(ToolFailedError, match="no readable csynth report"):
            read_csynth(tmp_path)
