"""The part `synthesis` of the stage: what the RTL takes on the FPGA, by yosys or as an estimate."""

from pathlib import Path
from typing import Any

from triggerforge.command import ToolTimeoutError
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.errors import MissingToolError
from triggerforge.firmware.parts import DEFAULT_FAMILY, find_part, shares, unknown_part
from triggerforge.firmware.pipelining import Pipeline
from triggerforge.firmware.rtl import verilog_sources
from triggerforge.firmware.synthesis import Utilisation, synthesize
from triggerforge.progress import say
from triggerforge.result import Resources
from triggerforge.tools import require


def count_resources(
    config: FirmwareConfig, design: Pipeline, latency: int, rtl: Path, folder: Path
) -> dict[str, Any]:
    """{"resources": a row of the record, "not_run": reasons}; `rtl` is the finished part `rtl`.

    Without yosys, or where it takes too long, the row is alkaid's estimate. Raises ToolFailedError
    with the end of the log where yosys fails.
    """
    not_run: dict[str, str] = {}
    used: dict[str, int | None] = {
        "lut": design.lut_estimate,
        "ff": design.register_bits,
        "dsp": None,
        "bram": None,
    }
    extra: dict[str, Any] = {"method": "estimate"}
    try:
        found = _synthesize(config, design, rtl, folder)
        used = {"lut": found.lut, "ff": found.ff, "dsp": found.dsp, "bram": found.bram}
        extra = {"method": "yosys", "carry_bits": found.carry_bits}
    except (_NotWanted, MissingToolError, ToolTimeoutError) as error:
        say(str(error), "resources are an estimate:", "yellow")
        not_run["yosys synthesis"] = str(error)
    if unknown := unknown_part(config.part):
        not_run["shares of the part"] = unknown
    row: dict[str, Any] = {
        "part": config.part,
        "clock_ns": config.clock_ns,
        "latency_cycles": latency,
        "latency_ns": latency * config.clock_ns,
        "ii": 1,
        **used,
        **extra,
        "lut_estimate": design.lut_estimate,
        "shares": shares(find_part(config.part), used),
    }
    return {"resources": Resources(**row).model_dump(), "not_run": not_run}


class _NotWanted(Exception):
    """The configuration leaves synthesis out; the message is the reason."""


def _synthesize(config: FirmwareConfig, design: Pipeline, rtl: Path, folder: Path) -> Utilisation:
    wanted = config.synthesis
    if wanted.tool == "none":
        raise _NotWanted("firmware.synthesis.tool is none: set it to yosys")
    if design.lut_estimate > wanted.max_luts:
        raise _NotWanted(
            f"about {design.lut_estimate} LUTs, firmware.synthesis.max_luts is {wanted.max_luts}: "
            "raise it and firmware.synthesis.timeout_s, and install a native yosys"
        )
    sources = verilog_sources(config, rtl)
    known = find_part(config.part)
    family = known.family if known else DEFAULT_FAMILY
    return synthesize(require("yosys"), sources, config.name, family, wanted.timeout_s, folder)
