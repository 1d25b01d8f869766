"""The part `hls4ml` of the stage: project, compiled library, check, vendor synthesis.

Vitis and Vivado have to work: what fails there is an error. What another backend cannot do, for want
of its vendor's tools or of a form for the model's layers, is told, and the stage goes on.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.errors import MissingToolError, ModelError, ToolFailedError
from triggerforge.firmware.agreement import compare
from triggerforge.firmware.csim import CSimulation
from triggerforge.firmware.hls import compile_project, leave_log, write_project
from triggerforge.firmware.vendor import vendor_synthesis
from triggerforge.tools import require

_OPEN_BACKENDS = ("Vitis", "Vivado")
"""backends of which g++ compiles the projects with what hls4ml brings"""


def build_hls(
    config: FirmwareConfig,
    quantized: QuantizedModel,
    inputs: NDArray[np.float32],
    expected: NDArray[np.float64],
    folder: Path,
) -> dict[str, Any]:
    """Facts of the part; inputs (N, *shape) and expected (N, outputs) are its test bench.

    Raises ModelError where hls4ml refuses the model, ToolFailedError where g++ does, for Vitis and
    Vivado; for the other backends the reason stands under "not_run".
    """
    facts: dict[str, Any] = {"backend": config.hls.backend, "strategy": config.hls.strategy}
    try:
        write_project(config, quantized, inputs, expected, folder)
    except (MissingToolError, ModelError) as error:
        if config.hls.backend in _OPEN_BACKENDS:
            raise
        leave_log(folder)
        return {**facts, "not_run": {"hls4ml": str(error)}}
    facts["project"] = config.name
    not_run: dict[str, str] = {}
    try:
        compile_project(config, quantized, require("g++"), folder)
        got = CSimulation(folder).predict(inputs)
        facts["check"] = compare(got, expected, quantized.output_formats)
    except MissingToolError as error:
        not_run["hls4ml C simulation"] = str(error)
    except ToolFailedError:
        if config.hls.backend in _OPEN_BACKENDS:
            raise
        not_run["hls4ml C simulation"] = (
            f"g++ does not compile what hls4ml writes for {config.hls.backend} from this model; the "
            "project is kept, g++.log in it says why: install the vendor's headers if it misses those, "
            "or choose firmware.hls.backend Vitis for a C simulation here"
        )
    report, reason = vendor_synthesis(config, folder)
    if report is not None:
        facts["csynth"] = report
    if reason:
        not_run["hls4ml vendor synthesis"] = reason
    return {**facts, "not_run": not_run}
