"""The part `rtl` of the stage: sources, simulation, measured latency, check, test bench."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.errors import MissingToolError, ToolFailedError
from triggerforge.firmware.agreement import compare
from triggerforge.firmware.pipelining import Pipeline
from triggerforge.firmware.ports import ports
from triggerforge.firmware.rtl import verilog_sources, write_bench, write_port_map, write_rtl
from triggerforge.firmware.simulation import Simulation, build_simulation, measure_latency
from triggerforge.tools import require

_MARGIN_CYCLES = 16
SIMULATION = "simulation"


def build_rtl(
    config: FirmwareConfig,
    quantized: QuantizedModel,
    design: Pipeline,
    inputs: NDArray[np.float32],
    expected: NDArray[np.float64],
    folder: Path,
) -> dict[str, Any]:
    """Facts of the part; inputs (N, *shape) and expected (N, outputs) are its test bench."""
    shapes = ports(quantized.alir)
    write_rtl(config, design, folder)
    write_port_map(quantized, shapes, folder)
    write_bench(config, shapes, design.stages, inputs, expected, folder)
    facts: dict[str, Any] = {
        "language": config.rtl.language,
        "top": config.name,
        "latency_cycles": design.stages,
        "latency_method": "pipeline stages",
        "ii": 1,
        "stage_delay_ns": round(design.stage_delay_ns, 3),
        "stage_budget_ns": round(design.budget_ns, 3),
        "delay_model_meets_clock": design.meets_clock,
    }
    try:
        tools = (require("verilator"), require("g++"))
        sources = verilog_sources(config, folder)
    except MissingToolError as error:
        return {**facts, "not_run": {"RTL simulation": str(error)}}
    build_simulation(
        sources,
        f"{config.name}_wrapper",
        shapes,
        design.stages,
        tools,
        config.rtl.optimize,
        folder / SIMULATION,
    )
    simulation = Simulation(folder / SIMULATION)
    facts |= _measured(simulation, design, inputs, expected)
    facts["check"] = compare(simulation.predict(inputs), expected, quantized.output_formats)
    return {**facts, "not_run": {}}


def _measured(
    simulation: Simulation,
    design: Pipeline,
    inputs: NDArray[np.float32],
    expected: NDArray[np.float64],
) -> dict[str, Any]:
    """Latency seen in the simulation; it must be the pipeline's.

    A network whose outputs are the same for all inputs shows none: then the pipeline's stands.
    """
    others = np.flatnonzero((expected != expected[0]).any(axis=1))
    if not len(others):
        return {}
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    limit = 2 * design.stages + _MARGIN_CYCLES
    latency = measure_latency(simulation, flat[0], flat[others[0]], limit)
    if latency != design.stages:
        raise ToolFailedError(
            f"the RTL has {design.stages} pipeline stages, the simulation shows {latency} cycles"
        )
    return {"latency_cycles": latency, "latency_method": "simulation"}
