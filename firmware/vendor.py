"""Vendor C synthesis of the hls4ml project, where Vitis is found and was asked for."""

import contextlib
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from triggerforge.command import run_tool
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.errors import ToolFailedError
from triggerforge.runfolder import write_atomic
from triggerforge.tools import find_tool

_OPTIONS = {"csim": 0, "synth": 1, "cosim": 0, "validation": 0, "export": 0, "vsynth": 0}


def vendor_synthesis(config: FirmwareConfig, folder: Path) -> tuple[dict[str, Any] | None, str]:
    """hls4ml's summary of the csynth report, or None and the reason.

    Raises ToolFailedError with the end of the log where the vendor's tool fails
    or leaves no report.
    """
    if config.hls.backend != "Vitis":
        return None, f"only projects of the backend Vitis are synthesised, not {config.hls.backend}"
    vitis = find_tool("vitis")
    if not vitis.found:
        return None, vitis.advice
    if not config.hls.synthesize:
        return None, "set firmware.hls.synthesize: true to run the vendor's C synthesis"
    lines = [
        f"    {name} {value}" for name, value in (_OPTIONS | {"reset": 1, "fifo_opt": 0}).items()
    ]
    write_atomic(folder / "build_opt.tcl", "\n".join(["array set opt {", *lines, "}", ""]))
    run_tool(vitis, ["--tcl", "build_prj.tcl", "--mode", "hls"], folder, "vitis.log")
    return read_csynth(folder), ""


def read_csynth(folder: Path) -> dict[str, Any]:
    """What the vendor's C synthesis estimated: latency [cycles], II, LUT …, as hls4ml names them.

    Raises ToolFailedError where there is no report that hls4ml can read.
    """
    from hls4ml.report import parse_vivado_report

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            report = parse_vivado_report(str(folder))
    except (OSError, LookupError, AttributeError, NameError, ElementTree.ParseError) as error:
        raise ToolFailedError(f"{folder}: no readable csynth report ({error!r})") from error
    found = (report or {}).get("CSynthesisReport")
    if not found:
        raise ToolFailedError(f"{folder}: Vitis ended well but left no csynth report")
    return dict(found)
