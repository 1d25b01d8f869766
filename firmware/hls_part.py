"""The part `hls4ml` of the stage: project, compiled library, check, vendor synthesis."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.errors import MissingToolError
from triggerforge.firmware.agreement import compare
from triggerforge.firmware.csim import CSimulation
from triggerforge.firmware.hls import compile_project, write_project
from triggerforge.firmware.vendor import vendor_synthesis
from triggerforge.tools import require


def build_hls(
    config: FirmwareConfig,
    quantized: QuantizedModel,
    inputs: NDArray[np.float32],
    expected: NDArray[np.float64],
    folder: Path,
) -> dict[str, Any]:
    """Facts of the part; inputs (N, *shape) and expected (N, outputs) are its test bench."""
    write_project(config, quantized, inputs, expected, folder)
    facts: dict[str, Any] = {
        "backend": config.hls.backend,
        "strategy": config.hls.strategy,
        "project": config.name,
    }
    not_run: dict[str, str] = {}
    try:
        compile_project(config, quantized, require("g++"), folder)
        got = CSimulation(folder).predict(inputs)
        facts["check"] = compare(got, expected, quantized.output_formats)
    except MissingToolError as error:
        not_run["hls4ml C simulation"] = str(error)
    report, reason = vendor_synthesis(config, folder)
    if report is not None:
        facts["csynth"] = report
    if reason:
        not_run["hls4ml vendor synthesis"] = reason
    return {**facts, "not_run": not_run}
