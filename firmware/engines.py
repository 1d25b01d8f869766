"""The simulated firmware as runtimes: "hls4ml" (C simulation) and "rtl" (Verilator, every cycle)."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract
from triggerforge.errors import ArtifactError, MissingToolError
from triggerforge.export.runtime import (
    ENGINES,
    EngineSource,
    Runtime,
    inputs_on_grid,
    require_buffers,
    require_part,
)
from triggerforge.firmware.csim import CSimulation
from triggerforge.firmware.rtl_part import SIMULATION
from triggerforge.firmware.simulation import Simulation
from triggerforge.firmware.steps import FACTS_FILE
from triggerforge.runfolder import read_json


class Simulated(Protocol):
    """What both simulations offer."""

    outputs: int

    def predict(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs (N, outputs) of x (N, …)."""


class FirmwareRuntime:
    """A simulation of the firmware under the protocol of every engine.

    Threads take turns: what hls4ml writes keeps its state between two lines in static variables.
    """

    model = "quantized"

    def __init__(self, name: str, contract: InputContract, simulated: Simulated) -> None:
        self.name = name
        self._contract = contract
        self._simulated = simulated
        self._turn = threading.Lock()

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs), float64, of x (N, *contract.shape)."""
        x = inputs_on_grid(x, self._contract)
        with self._turn:
            return self._simulated.predict(x)

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that copies the simulation's outputs into y: hardware has no form in place."""
        require_buffers(x, y, self._contract.shape, self._simulated.outputs, np.float64)

        def call() -> None:
            y[:] = self.predict(x)

        return call


@ENGINES.register("hls4ml")
def _hls4ml(source: EngineSource) -> Runtime:
    folder = _part(source, "hls4ml", "hls4ml C simulation")
    return FirmwareRuntime("hls4ml", _contract(source), CSimulation(folder))


@ENGINES.register("rtl")
def _rtl(source: EngineSource) -> Runtime:
    folder = _part(source, "rtl", "RTL simulation")
    return FirmwareRuntime("rtl", _contract(source), Simulation(folder / SIMULATION))


def _contract(source: EngineSource) -> InputContract:
    contract: InputContract = require_part(source.quantized, "a quantised model").contract
    return contract


def _part(source: EngineSource, name: str, what: str) -> Path:
    """The folder of a part; raises MissingToolError, with the reason, where it could not be run."""
    folder = Path(require_part(source.firmware_folder, "a firmware folder")) / name
    if not folder.is_dir():
        raise ArtifactError(
            f"{folder} is not there; enable it in the section firmware and run that stage again"
        )
    not_run = read_json(folder / FACTS_FILE).get("not_run", {})
    if reason := not_run.get(name) or not_run.get(what):
        raise MissingToolError(f"engine {name!r} was not built: {reason}")
    return folder
