"""QKeras 0.9 training, in the environment of its own that `make qkeras` sets up.

HGQ2 ships a package named `qkeras`, and QKeras needs Keras 2, so both cannot live in one
environment. The torch model goes over as the neutral layer graph, the events as arrays; the worker
(compression/qkeras_env/) trains, converts with its own hls4ml and leaves `model.h5`.
"""

import json
import math
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from triggerforge.compression.graph import Graph
from triggerforge.compression.lowering import checked_graph
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.compression.scheme import magnitude_bits
from triggerforge.config.compress import CompressConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Splits
from triggerforge.errors import (
    MissingToolError,
    ModelError,
    ToolFailedError,
    UnsupportedOperationError,
)
from triggerforge.fixedpoint import FixedFormat
from triggerforge.progress import say
from triggerforge.result import ParityRow
from triggerforge.runfolder import write_json
from triggerforge.training.tensors import fitting_weights

WORKER = Path(__file__).parent / "qkeras_env" / "worker.py"
_LOG_LINES = 30


@dataclass(frozen=True)
class QKerasResult:
    """What the worker left."""

    model_file: Path
    logits: NDArray[np.float32]
    """(N_test, C): QKeras' outputs for the test events"""
    hls4ml: NDArray[np.float32]
    """(n, C): hls4ml's C simulation of the QKeras model, for the first n test events"""
    tools: dict[str, str]


def train_qkeras(
    module: nn.Module, splits: Splits, config: CompressConfig, seed: int, folder: Path
) -> QKerasResult:
    """Trains the QKeras twin of `module` in `folder`; a killed call goes on from its last epoch.

    Raises MissingToolError if the environment is not there, UnsupportedOperationError for a layer
    without a QKeras form, what `lower` raises, ToolFailedError with the end of the worker's log if the worker fails.
    """
    python = Path(config.qkeras.python)
    if not python.is_file():
        raise MissingToolError(
            f"no QKeras environment at {python}; `make qkeras` sets it up, or set compress.qkeras.python"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "done.json").is_file():
        _write_job(module, splits, config, seed, folder)
        _run_worker(python, folder)
    with np.load(folder / "outputs.npz") as outputs:
        logits, firmware = outputs["logits"], outputs["hls4ml"]
    tools = json.loads((folder / "done.json").read_text())["tools"]
    return QKerasResult(folder / "model.h5", logits, firmware, tools)


def _write_job(
    module: nn.Module, splits: Splits, config: CompressConfig, seed: int, folder: Path
) -> None:
    graph = checked_graph(module, splits.contract)[0]
    require_qkeras_form(graph)
    require_weights_fit(graph, config.qkeras.weight_integer)
    write_json(folder / "graph.json", graph_record(graph))
    weights = {f"{a.name}/{key}": w for a in graph for key, w in a.weights.items()}
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
    train, validation = splits.train, splits.validation
    np.savez(
        folder / "data.npz",
        x_train=train.quantized_x,
        y_train=train.y,
        w_train=fitting_weights(train),
        x_validation=validation.quantized_x,
        y_validation=validation.y,
        x_test=splits.test.quantized_x,
    )
    qkeras = config.qkeras
    job = {
        "seed": seed,
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "learning_rate": qkeras.lr,
        "bits": qkeras.model_dump(include=_BITS),
        "hls_events": qkeras.hls_events,
        "input_type": str(port_format(splits.contract)),
        "part": qkeras.part,
        "clock_ns": qkeras.clock_ns,
    }
    write_json(folder / "job.json", job)


def require_qkeras_form(graph: Graph) -> None:
    """Raises UnsupportedOperationError for the first layer that QKeras cannot be given.

    The worker has a converter for each of these operations (qkeras_env/network.py).
    """
    for layer in graph:
        where = f"{layer.path or layer.name}: {layer.op}"
        chain = layer.op in QKERAS_OPERATIONS and len(layer.inputs) <= 1
        if not chain:
            raise UnsupportedOperationError(
                f"{where} of {len(layer.inputs)} inputs has no QKeras form here, which is a chain of "
                f"{', '.join(sorted(QKERAS_OPERATIONS))}; use compress.method hgq"
            )
        if layer.op == "conv" and np.any(layer.attrs["padding"]):
            raise UnsupportedOperationError(
                f"{where} with padding has no QKeras form here; use padding=0, or compress.method hgq"
            )


def require_weights_fit(graph: Graph, integer: int) -> None:
    """Says which layers' largest weights QKeras cuts off at 2^integer.

    Raises ModelError where that is most of a layer's weights: the training would begin with another
    network.
    """
    for layer in graph:
        magnitude = np.abs(
            np.concatenate([np.zeros(1, np.float32), *(w.ravel() for w in layer.weights.values())])
        )
        largest = float(magnitude.max())
        cut = float(np.mean(magnitude[1:] > 2.0**integer)) if largest else 0.0
        needed = int(magnitude_bits(np.array(largest)))
        told = (
            f"compress.qkeras.weight_integer {integer} cuts {100 * cut:.3g} % of the weights of "
            f"{layer.path or layer.name} at {2.0**integer:g} (the largest is {largest:.3g}); {needed} hold "
            "them all"
        )
        if cut > _MOSTLY:
            raise ModelError(
                f"{told}; set it, or use compress.method hgq, whose formats follow the ranges"
            )
        if cut:
            say(f"warning: {told}")


_MOSTLY = 0.5
QKERAS_OPERATIONS = frozenset({"input", "linear", "conv", "pool", "relu", "reshape", "transpose"})
_BITS = {"weight", "weight_integer", "activation", "activation_integer"}


def qkeras_parity(
    result: QKerasResult, outputs: NDArray[np.float64], quantized: QuantizedModel
) -> list[ParityRow]:
    """QKeras, and hls4ml in its environment, against the model read back from its file.

    `outputs` (N_test, C) are that model's for the test events.
    """
    lsb = np.array([fmt.lsb for fmt in quantized.output_formats])
    rows = []
    for name, found in (("qkeras", result.logits), ("qkeras-hls4ml", result.hls4ml)):
        difference = np.abs(found.reshape(len(found), -1) - outputs[: len(found)]) / lsb
        largest = float(difference.max(initial=0.0))
        rows.append(
            ParityRow(
                reference="hgq2",
                candidate=name,
                events=len(found),
                inputs="test",
                outputs=difference.size,
                mismatches=int((difference != 0).sum()),
                max_lsb=largest if math.isfinite(largest) else None,
            )
        )
    return rows


def graph_record(graph: Graph) -> dict[str, Any]:
    """The graph without its weights, as JSON holds it."""
    layers = []
    for layer in graph:
        record = asdict(layer)
        del record["weights"]
        layers.append(record)
    return {"layers": layers, "output": graph.output}


def port_format(contract: InputContract) -> FixedFormat:
    """One signed format that holds every input exactly: hls4ml has one type for a tensor."""
    formats = [f.format for f in contract.features]
    integer = max(f.integer + (not f.signed) for f in formats)
    return FixedFormat(integer + max(f.fraction for f in formats), integer)


def _run_worker(python: Path, folder: Path) -> None:
    say(f"QKeras trains in its own environment; log in {folder / 'worker.log'}")
    with (folder / "worker.log").open("a") as log:
        command = [str(python), str(WORKER), str(folder)]
        status = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    if status:
        tail = (folder / "worker.log").read_text(errors="replace").splitlines()[-_LOG_LINES:]
        raise ToolFailedError(f"the QKeras worker ended with status {status}:\n" + "\n".join(tail))
