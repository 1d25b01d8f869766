"""The RTL in Verilator: cycle by cycle, and the test bench that goes with it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.errors import DataError, ToolFailedError
from triggerforge.firmware.ports import Port
from triggerforge.firmware.simulation import Simulation, build_simulation, measure_latency
from triggerforge.tools import find_tool, require


@pytest.fixture(scope="module")
def simulation(built: Path) -> Simulation:
    return Simulation(built / "rtl" / "simulation")


def test_every_cycle_takes_a_new_event(
    quantized: QuantizedModel, simulation: Simulation, random_bits: Callable[[int], Any]
) -> None:
    x = random_bits(200)
    seen = simulation.stream(x, len(x) + simulation.latency)
    np.testing.assert_array_equal(seen[simulation.latency :], quantized.predict(x))


def test_one_cycle_too_early_is_wrong(
    quantized: QuantizedModel, simulation: Simulation, random_bits: Callable[[int], Any]
) -> None:
    x = random_bits(200)
    seen = simulation.stream(x, len(x) + simulation.latency)
    early = seen[simulation.latency - 1 : -1]
    assert (early != quantized.predict(x)).any()


def test_latency_is_that_of_the_pulse(
    quantized: QuantizedModel, simulation: Simulation, random_bits: Callable[[int], Any]
) -> None:
    x = random_bits(50)
    expected = quantized.predict(x)
    other = np.flatnonzero((expected != expected[0]).any(axis=1))[0]
    assert measure_latency(simulation, x[0], x[other], limit=40) == simulation.latency


def test_no_pulse_is_no_latency(simulation: Simulation, random_bits: Callable[[int], Any]) -> None:
    x = random_bits(1)[0]
    with pytest.raises(ToolFailedError, match="changed the output in 0 cycles"):
        measure_latency(simulation, x, x, limit=10)


def test_another_number_of_inputs_is_refused(simulation: Simulation) -> None:
    with pytest.raises(DataError, match="4 inputs an event; the design takes 3"):
        simulation.predict(np.zeros((2, 4)))


def test_chunks_of_a_long_stream_join(
    simulation: Simulation, random_bits: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = random_bits(100)
    whole = simulation.predict(x)
    monkeypatch.setattr("triggerforge.firmware.simulation._CHUNK", 7)
    np.testing.assert_array_equal(simulation.predict(x), whole)


WIDE = """
module wide(input clk, input [{bits}:0] model_inp, output reg [{bits}:0] model_out);
  reg [{bits}:0] first;
  always @(posedge clk) begin first <= model_inp; model_out <= first; end
endmodule
"""


@pytest.mark.parametrize(("size", "width", "one_unit"), [(1, 1, 1_000_000), (9, 64, 0)])
def test_ports_of_every_word_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, width: int, one_unit: int
) -> None:
    """Compiled together, as small designs are, or file by file."""
    monkeypatch.setattr("triggerforge.firmware.simulation._ONE_UNIT", one_unit)
    source = tmp_path / "wide.v"
    source.write_text(WIDE.format(bits=size * width - 1))
    port = Port(size, width, fraction=0, signed=True)
    tools = (require("verilator"), require("g++"))
    build_simulation([source], "wide", (port, port), 1, tools, 0, tmp_path / "simulation")
    top = min(width - 1, 52)
    x = np.random.default_rng(1).integers(-(2**top), 2**top, size=(50, size)).astype(np.float64)
    np.testing.assert_array_equal(Simulation(tmp_path / "simulation").predict(x), x)


def test_broken_verilog_shows_the_log(tmp_path: Path) -> None:
    source = tmp_path / "wide.v"
    source.write_text("module wide(input clk; endmodule")
    port = Port(1, 8, 0, True)
    tools = (require("verilator"), require("g++"))
    with pytest.raises(
        ToolFailedError, match=r"status 1; errors in its log:\n%Error.*syntax error"
    ):
        build_simulation([source], "wide", (port, port), 1, tools, 0, tmp_path / "simulation")
    assert not (tmp_path / "simulation" / "library.json").exists()


@pytest.fixture
def bench(built: Path, tmp_path: Path) -> Path:
    """A copy of the RTL folder, with the names that `make` needs."""
    import shutil

    shutil.copytree(built / "rtl", tmp_path / "rtl")
    return tmp_path / "rtl" / "bench"


def _make(bench: Path, target: str) -> subprocess.CompletedProcess[str]:
    verilator = require("verilator")
    environment = os.environ | verilator.environment | {"VERILATOR": verilator.command[0]}
    command = ["make", target]
    return subprocess.run(
        command, cwd=bench, env=environment, check=False, capture_output=True, text=True
    )


def test_bench_passes_and_sees_one_wrong_bit(bench: Path) -> None:
    done = _make(bench, "sim")
    assert done.returncode == 0, done.stderr
    assert "PASS: 40 events" in done.stdout
    vectors = bench / "vectors_out.hex"
    words = vectors.read_text().splitlines()
    words[20] = f"{int(words[20], 16) ^ 1:0{len(words[20])}x}"
    vectors.write_text("\n".join(words) + "\n")
    done = _make(bench, "sim")
    assert done.returncode != 0
    assert "event 20: expected" in done.stdout
    assert "FAIL: 1 of 40 events differ" in done.stdout + done.stderr


@pytest.mark.skipif(not find_tool("iverilog").found, reason="Icarus Verilog is not installed")
def test_bench_passes_in_icarus(bench: Path) -> None:
    done = _make(bench, "sim-icarus")
    assert done.returncode == 0, done.stderr
    assert "PASS: 40 events" in done.stdout
