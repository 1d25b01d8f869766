"""Every engine against the HGQ2 model, on test events and on corner inputs."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.benchmark.corners import corner_inputs
from triggerforge.benchmark.engines import make_engines
from triggerforge.benchmark.parity import Pair, compare
from triggerforge.config.benchmark import ParityConfig
from triggerforge.errors import ModelError
from triggerforge.export.runtime import ENGINES, EngineSource, Runtime, require_part
from triggerforge.progress import progress
from triggerforge.result import ParityRow

REFERENCE = "hgq2"
Outputs = dict[str, NDArray[Any]]
"""outputs by kind of input"""


@dataclass
class Agreement:
    """The parity table, and what it was made from."""

    rows: list[ParityRow] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    """engine → reason"""
    test_outputs: dict[str, NDArray[Any]] = field(default_factory=dict)
    """engine → outputs on the first test events"""


def check_agreement(
    config: ParityConfig, source: EngineSource, test_x: NDArray[np.float32], seed: int
) -> Agreement:
    """Compares `config.engines` with HGQ2, and the float ONNX with torch, on x (N, *shape).

    Raises ModelError if the source has no quantised model, RegistryError for an unknown engine.
    """
    quantized = require_part(source.quantized, "a quantised model")
    inputs = {"test": quantized.contract.quantize(test_x[: config.events])}
    inputs |= corner_inputs(quantized.contract, config.random_events, seed)
    lsb = np.array([f.lsb for f in quantized.output_formats])
    engines, not_run = make_engines(config.engines, source)
    found = Agreement(not_run=not_run)
    with progress("parity", total=len(engines) + 2) as meter:
        reference = _answers(ENGINES[REFERENCE](source), inputs)
        for done, (name, engine) in enumerate(engines.items(), start=1):
            meter(done, name)
            _exact(config, found, engine, inputs, reference, lsb)
        meter(len(engines) + 1, "onnxruntime (float)")
        _float(config, found, source, inputs, lsb)
        meter(len(engines) + 2)
    return found


def _exact(
    config: ParityConfig,
    found: Agreement,
    engine: Runtime,
    inputs: dict[str, NDArray[np.float32]],
    reference: Outputs,
    lsb: NDArray[np.float64],
) -> None:
    """Adds the rows of an engine that must agree bit for bit."""
    events = next((n for name, n in config.engine_events.items() if name == engine.name), None)
    given = inputs | {"test": inputs["test"][:events]}
    answers = _answers(engine, given)
    found.test_outputs[engine.name] = answers["test"]
    for kind, got in answers.items():
        pair = Pair(REFERENCE, engine.name, kind, lsb)
        found.rows.append(compare(pair, reference[kind][: len(got)], got))


def _float(
    config: ParityConfig,
    found: Agreement,
    source: EngineSource,
    inputs: dict[str, NDArray[np.float32]],
    lsb: NDArray[np.float64],
) -> None:
    """Adds the row of the float ONNX against torch, in steps of the quantised outputs."""
    engines, not_run = make_engines(["torch", "onnxruntime"], source)
    found.not_run |= not_run
    if not_run:
        return
    expected, got = (_answers(engines[n], inputs) for n in ("torch", "onnxruntime"))
    if expected["test"].shape[1] != len(lsb):
        raise ModelError(
            f"the float model has {expected['test'].shape[1]} outputs, the quantised {len(lsb)}; "
            "they are not the same network"
        )
    tolerances = (config.float_tolerance_lsb, config.float_tolerance_relative)
    pair = Pair("torch", "onnxruntime", "test", lsb, *tolerances)
    found.rows.append(compare(pair, expected["test"], got["test"]))


def _answers(engine: Runtime, inputs: dict[str, NDArray[np.float32]]) -> Outputs:
    """The engine's outputs for each kind of input, from one call."""
    outputs = engine.predict(np.concatenate(list(inputs.values())))
    ends = np.cumsum([len(x) for x in inputs.values()])[:-1]
    return dict(zip(inputs, np.split(outputs, ends), strict=True))
