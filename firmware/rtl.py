"""The standalone RTL: sources, constraints, vendor scripts, and a self-checking test bench.

alkaid (calad0i/alkaid) writes the pipelined modules; this module adds what makes them a project.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from alkaid.codegen import RTLModel
from numpy.typing import NDArray

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.firmware.pipelining import Pipeline
from triggerforge.firmware.ports import Port
from triggerforge.firmware.template import copy_template, fill_template
from triggerforge.firmware.vhdl import netlist, vhdl_to_verilog
from triggerforge.tools import require


def write_rtl(config: FirmwareConfig, design: Pipeline, folder: Path) -> None:
    """Writes src/, constraints and vendor scripts to `folder`; the top module is `config.name`."""
    model = RTLModel(
        design.fsm,
        folder,
        config.name,
        flavor=config.rtl.language,
        part_name=config.part,
        clock_period=config.clock_ns,
        clock_uncertainty=config.rtl.clock_uncertainty,
        ternary_fuse=False,  # done before the pipeline was cut
    )
    model.write()


def verilog_sources(config: FirmwareConfig, folder: Path) -> list[Path]:
    """The Verilog of what `write_rtl` wrote; VHDL is turned into it by ghdl, once.

    Raises MissingToolError without ghdl, ToolFailedError with the end of its log.
    """
    if config.rtl.language == "vhdl":
        made = netlist(config.name, folder)
        return [made if made.is_file() else vhdl_to_verilog(require("ghdl"), config.name, folder)]
    return sorted((folder / "src").rglob("*.v"))


def write_bench(
    config: FirmwareConfig,
    ports: tuple[Port, Port],
    latency: int,
    inputs: NDArray[Any],
    expected: NDArray[Any],
    folder: Path,
) -> None:
    """Writes `folder`/bench: `make sim` there streams inputs (N, …) and compares expected (N, …)."""
    bench = folder / "bench"
    bench.mkdir(exist_ok=True)
    into, out = ports
    _write_words(bench / "vectors_in.hex", into.hex_words(inputs.reshape(len(inputs), -1)))
    _write_words(bench / "vectors_out.hex", out.hex_words(expected))
    top = f"{config.name}_wrapper"
    fill_template(
        "testbench_parameters.vh",
        bench,
        top=top,
        in_bits=into.bits,
        out_bits=out.bits,
        events=len(inputs),
        latency=latency,
        half_period=config.clock_ns / 2,
    )
    fill_template("project.mk", bench, top=top, language=config.rtl.language)
    for name in ("testbench.sv", "Makefile"):
        copy_template(name, bench)


def write_port_map(quantized: QuantizedModel, ports: tuple[Port, Port], folder: Path) -> None:
    """Writes ports.json: which bits of the ports hold which input and output, and in what scale."""
    into, out = ports
    features = quantized.contract.names
    names = [features[i % len(features)] for i in range(into.size)]
    record = {
        "model_inp": _port_record(into, names, np.asarray(quantized.alir.inp_kifs)),
        "model_out": _port_record(
            out, list(quantized.classes), np.asarray(quantized.alir.out_kifs)
        ),
    }
    (folder / "ports.json").write_text(json.dumps(record, indent=1))


def _port_record(port: Port, names: list[str], kifs: NDArray[Any]) -> dict[str, Any]:
    elements = [
        {
            "name": names[i] if i < len(names) else str(i),
            "bits": [i * port.width + port.width - 1, i * port.width],
            "used": {"signed": bool(k), "integer": int(whole), "fraction": int(f)},
        }
        for i, (k, whole, f) in enumerate(kifs.T)
    ]
    return {
        "width": port.width,
        "fraction": port.fraction,
        "signed": port.signed,
        "elements": elements,
    }


def _write_words(path: Path, words: list[str]) -> None:
    path.write_text("\n".join(words) + "\n")
