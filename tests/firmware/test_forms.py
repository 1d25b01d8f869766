"""Every documented form through the rooms that compile: native C++, hls4ml's C simulation, RTL.

The networks of a batch are one program where that can be (native code and RTL are functions of the
fixed-point graph), and one hls4ml project each.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alkaid.types import CombLogic, Op

from tests.compression.quantised_form import QuantisedForm, quantised_form
from triggerforge.compression.forms import NETWORKS
from triggerforge.compression.quantized_model import corner_inputs
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.data.contract import InputContract
from triggerforge.export.engines.native import CompiledRuntime
from triggerforge.export.native.build import compiled
from triggerforge.export.native.source import write_source
from triggerforge.firmware.csim import CSimulation
from triggerforge.firmware.hls import compile_project, write_project
from triggerforge.firmware.pipelining import pipeline
from triggerforge.firmware.ports import ports
from triggerforge.firmware.rtl import verilog_sources, write_rtl
from triggerforge.firmware.simulation import Simulation, build_simulation
from triggerforge.tools import require

_EVENTS = 100
_BATCH = 12
BATCHES = [list(NETWORKS)[start : start + _BATCH] for start in range(0, len(NETWORKS), _BATCH)]
QUICK = [
    "conv1d-kernel-1-padding",
    "flat-mask",
    "cat-of-an-input-slice",
    "leaky-relu",
    "sliced-output",
]
"""those that failed once, in the short suite too"""


def joined(graphs: list[CombLogic]) -> CombLogic:
    """The graphs side by side, as one: inputs after inputs, outputs after outputs."""
    ops: list[Op] = []
    tables: list[Any] = []
    inputs = outputs = 0
    parts: dict[str, list[Any]] = {
        k: [] for k in ("inp_shifts", "out_idxs", "out_shifts", "out_negs")
    }
    for graph in graphs:
        first, table = len(ops), len(tables)
        for op in graph.ops:
            data = op.data
            if op.opcode == -1:
                data = (data[0] + inputs, *data[1:])
            if op.opcode == 8:
                data = (data[0] + table, *data[1:])
            ops.append(op._replace(addr=tuple(a + first for a in op.addr), data=data))
        tables += list(graph.lookup_tables or ())
        parts["out_idxs"] += [i + first if i >= 0 else i for i in graph.out_idxs]
        for key in ("inp_shifts", "out_shifts", "out_negs"):
            parts[key] += list(getattr(graph, key))
        inputs, outputs = inputs + graph.shape[0], outputs + graph.shape[1]
    return graphs[0]._replace(
        shape=(inputs, outputs), ops=ops, lookup_tables=tuple(tables) or None, **parts
    )


def side_by_side(contracts: list[InputContract]) -> InputContract:
    """The contract of all inputs of the joined graph, one after the other."""
    features = [
        feature
        for contract in contracts
        for feature in contract.features * math.prod(contract.shape[:-1])
    ]
    return InputContract(tuple(features), (len(features),))


def events(form: QuantisedForm) -> np.ndarray:
    return corner_inputs(form.quantized.contract, _EVENTS - 6, seed=3)


def assert_native_and_rtl(forms: list[QuantisedForm], folder: Path) -> None:
    graph = joined([form.quantized.alir for form in forms])
    x = np.concatenate([events(form).reshape(_EVENTS, -1) for form in forms], axis=1)
    expected = np.concatenate([form.quantized.reference(events(form)) for form in forms], axis=1)
    np.testing.assert_array_equal(graph.predict(x.astype(np.float64)), expected)

    contract = side_by_side([form.quantized.contract for form in forms])
    library = compiled(write_source(graph, contract), folder)
    found = CompiledRuntime(
        "native-int", "quantized", contract.shape, graph.shape[1], np.float64, library
    )
    np.testing.assert_array_equal(found.predict(x), expected)

    config = FirmwareConfig(vectors=40)
    design = pipeline(graph, config.clock_ns, config.rtl.clock_uncertainty)
    rtl = folder / "rtl"
    write_rtl(config, design, rtl)
    build_simulation(
        verilog_sources(config, rtl),
        f"{config.name}_wrapper",
        ports(graph),
        design.stages,
        (require("verilator"), require("g++")),
        config.rtl.optimize,
        rtl / "simulation",
    )
    np.testing.assert_array_equal(Simulation(rtl / "simulation").predict(x), expected)


def assert_hls4ml(form: QuantisedForm, folder: Path) -> None:
    config = FirmwareConfig(vectors=40)
    x = events(form)
    expected = form.quantized.reference(x)
    write_project(config, form.quantized, x, expected, folder)
    compile_project(config, form.quantized, require("g++"), folder)
    np.testing.assert_array_equal(CSimulation(folder).predict(x), expected)


@pytest.mark.slow
def test_forms_that_failed_once_are_exact_in_native_code_and_rtl(tmp_path: Path) -> None:
    assert_native_and_rtl([quantised_form(name) for name in QUICK], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK[:3])
def test_forms_that_failed_once_are_exact_in_hls4ml(name: str, tmp_path: Path) -> None:
    assert_hls4ml(quantised_form(name), tmp_path / "hls4ml")


@pytest.mark.long
@pytest.mark.parametrize("names", BATCHES, ids=lambda names: names[0])
def test_every_form_is_exact_in_native_code_and_rtl(names: list[str], tmp_path: Path) -> None:
    assert_native_and_rtl([quantised_form(name) for name in names], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_every_form_is_exact_in_hls4ml(name: str, tmp_path: Path) -> None:
    assert_hls4ml(quantised_form(name), tmp_path / "hls4ml")
