"""Configuration of the stage `firmware`."""

import shutil
from pathlib import Path
from typing import Literal

from pydantic import Field

from triggerforge.config.base import Config
from triggerforge.config.identifiers import Identifier
from triggerforge.tools import find_tool


class HlsConfig(Config):
    """The hls4ml project."""

    enabled: bool = True
    """Write the hls4ml project, compile it with g++ and predict with it."""
    backend: Literal["Vitis", "Vivado", "Quartus", "Catapult", "oneAPI", "Libero"] = "Vitis"
    """hls4ml backend. Vitis and Vivado compile with g++ alone. Others may need the vendor's tools or
    lack a layer: then the reason is recorded as "not run" and the stage goes on."""
    strategy: Literal["latency", "distributed_arithmetic", "resource"] = "latency"
    """How the matrix products are written: `latency` compiles fastest, `distributed_arithmetic`
    turns them into adders (minutes to convert and compile, fewer LUTs), `resource` reuses DSPs."""
    reuse_factor: int = Field(default=1, ge=1)
    """Multiplications that share a multiplier, for the strategy `resource`."""
    clock_uncertainty: float = Field(default=0.27, ge=0, lt=1)
    """Part of the clock period that vendor synthesis keeps as a margin."""
    synthesize: bool = False
    """Run the vendor's C synthesis too, where `vitis-run` is found. Takes minutes to hours."""


class RtlConfig(Config):
    """The standalone RTL."""

    enabled: bool = True
    """Write the RTL, and simulate it cycle by cycle with Verilator."""
    language: Literal["verilog", "vhdl"] = "verilog"
    """Hardware language. VHDL is simulated and synthesised through ghdl."""
    clock_uncertainty: float = Field(default=0.1, ge=0, lt=1)
    """Part of the clock period that pipelining and constraints keep as a margin."""
    optimize: Literal[0, 1, 2, 3] = 0
    """-O level of the compiled simulation: 0 compiles fast, 2 runs fast."""


class SynthesisConfig(Config):
    """Counting of LUTs, flip-flops, carries, DSPs and block RAMs."""

    tool: Literal["yosys", "none"] = "yosys"
    """`none` leaves an estimate from the adder graph, marked as such."""
    max_luts: int = Field(default=60_000, ge=0)
    """Designs that alkaid estimates to be larger keep that estimate: synthesis would take many minutes,
    and the packaged yosys, which runs in a sandbox, can address 4 GiB of memory."""
    timeout_s: float = Field(default=900.0, gt=0)
    """Time [s] after which synthesis is given up and the estimate stands."""


class FirmwareConfig(Config):
    """The hls4ml project, the RTL, their simulations, and what the design takes on a part."""

    name: Identifier = "tagger"
    """Name of the top module and of the HLS function: no word of C++, SystemVerilog or VHDL."""
    part: str = "xcvu13p-flga2577-2-e"
    """FPGA part, as its vendor writes it. Shares of the device are known for the common ones."""
    clock_ns: float = Field(default=5.0, gt=0)
    """Target clock period [ns]."""
    vectors: int = Field(default=1000, ge=16)
    """Events in the test benches that are written beside the firmware."""
    hls: HlsConfig = HlsConfig()
    """The hls4ml project."""
    rtl: RtlConfig = RtlConfig()
    """The standalone RTL."""
    synthesis: SynthesisConfig = SynthesisConfig()
    """Resources."""

    def input_files(self) -> list[Path]:
        """The programs that the stage calls: once a missing tool is there, the stage runs again."""
        found = (find_tool(name) for name in ("g++", "verilator", "yosys", "ghdl", "vitis"))
        smart_hls = shutil.which("shls")  # hls4ml looks for it itself
        return [Path(path) for path in (*(tool.path for tool in found), smart_hls) if path]
