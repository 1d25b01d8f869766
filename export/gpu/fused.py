"""A float network as the text of one Triton kernel, and the arrays that it reads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import triggerforge.export.native.float_source  # noqa: F401  knows what the operators do
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.gpu.fused_graph import FusedGraph
from triggerforge.export.native.text import filled

_TEMPLATE = "fused.py.txt"
_MOST_WEIGHTS = 48 * 1024
"""numbers, padding included, that an SM can hold in its registers and shared memory"""


@dataclass(frozen=True)
class FusedKernel:
    """`network(x, y, weights, tables, events, E, KIND)` of `text`, for x (N, inputs), y (N, outputs)."""

    text: str
    inputs: int
    outputs: int
    weights: NDArray[np.float32]
    tables: NDArray[np.int32]
    rows: int
    """of an event in the largest product of matrices"""


def write_fused(model: onnx.ModelProto) -> FusedKernel:
    """One kernel for the whole graph.

    Raises UnsupportedOperationError for an operator that the engine does not know, for constants
    that are no numbers, and for more of them than stay on an SM.
    """
    graph = FusedGraph(model)
    program, writer = graph.write(), graph.writer
    weights = _flat(writer.numbers, np.float32)
    if len(weights) > _MOST_WEIGHTS:
        raise UnsupportedOperationError(
            f"the network has {len(weights):,} weights, padding included; the triton engine keeps up "
            f"to {_MOST_WEIGHTS:,} on an SM: use torch-cuda-graph for larger ones"
        )
    places = {
        "prologue": "\n".join(f"    {line}" for line in writer.prologue),
        "body": "\n".join(f"        {line}" for line in writer.body),
    }
    text = filled({_TEMPLATE: True}, places, "gpu")[_TEMPLATE]
    tables = _flat(writer.addresses, np.int32)
    return FusedKernel(text, program.inputs, program.outputs, weights, tables, writer.rows)


def _flat(arrays: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    """Behind each other; one number where there is none, for the kernel's pointer."""
    return np.concatenate([np.zeros(0 if arrays else 1, kind), *(a.ravel() for a in arrays)])
