"""The C++ files of a float network: the statements of its graph in the templates."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

# these know what the operators do
import triggerforge.export.native.float_dense
import triggerforge.export.native.float_einsum
import triggerforge.export.native.float_layers
import triggerforge.export.native.float_moves
import triggerforge.export.native.float_recurrent
import triggerforge.export.native.float_reduce
import triggerforge.export.native.float_select  # noqa: F401
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.native.float_graph import FloatGraph
from triggerforge.export.native.grid import NO_GRID
from triggerforge.export.native.text import filled, number_list

_MOST_WEIGHTS = 1_000_000
_MOST_NUMBERS = 1_000_000
_MOST_IN_BLOCKS = 16_384
"""numbers of one event on the stack; in blocks, of up to 32 events, 2 MB are more than the caches have"""
_TEMPLATES = {
    "float.cc": True,
    "network.h": True,
    "module.cc": True,
    "events.h": False,
    "turn.h": False,
    "products.h": False,
    "layer.h": False,
    "unrolled.h": False,
    "functions.h": False,
    "special.h": False,
    "choices.h": False,
    "recurrent.h": False,
    "vectors.h": False,
}


def write_float_source(model: onnx.ModelProto) -> dict[str, str]:
    """File name -> text, of the network and of its Python module.

    Raises UnsupportedOperationError for an operator that the engine does not know, for weights
    that are NaN or inf, and for more of them than a compiler takes as constants.
    """
    program = FloatGraph(model).write()
    weights = sum(c.size for c in program.constants.values())
    if weights > _MOST_WEIGHTS:
        raise UnsupportedOperationError(
            f"the network has {weights:,} weights; the native engine compiles up to "
            f"{_MOST_WEIGHTS:,}: use onnxruntime for larger ones"
        )
    numbers = program.inputs + program.outputs + sum(program.buffers.values())
    if numbers > _MOST_NUMBERS:
        raise UnsupportedOperationError(
            f"the tensors of an event are {numbers:,} numbers; the native engine keeps up to "
            f"{_MOST_NUMBERS:,} on the stack: use onnxruntime for larger networks"
        )
    return filled(
        _TEMPLATES,
        {
            "blocks_fit": int(numbers <= _MOST_IN_BLOCKS),
            "inputs": program.inputs,
            "outputs": program.outputs,
            "result": "float",
            "numpy_result": "NPY_FLOAT32",
            **NO_GRID,
            "shape": ", ".join(map(str, program.shape)),
            "constants": constants_text(program.constants),
            "buffers": "\n".join(
                f"  alignas(64) V {name}[{size}];" for name, size in program.buffers.items()
            ),
            "statements": "\n".join(
                f"  {line}" for text in program.statements for line in text.splitlines()
            ),
        },
    )


def constants_text(constants: dict[str, NDArray[Any]]) -> str:
    """Weights and addresses as arrays."""
    return "\n".join(_constant(name, values) for name, values in constants.items())


def _constant(name: str, values: NDArray[Any]) -> str:
    kind = "float" if values.dtype == np.float32 else "int"
    return f"alignas(64) constexpr {kind} {name}[] = {{{number_list(values)}}};"
