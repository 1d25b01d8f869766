"""The C++ files of a float network: the statements of its graph in the templates."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import triggerforge.export.native.float_dense
import triggerforge.export.native.float_layers  # noqa: F401  both know what the operators do
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.native.float_graph import FloatGraph
from triggerforge.export.native.text import filled, number_list

_MOST_WEIGHTS = 1_000_000
_TEMPLATES = {
    "float.cc": True,
    "network.h": True,
    "module.cc": True,
    "products.h": False,
    "layer.h": False,
    "functions.h": False,
    "vectors.h": False,
}


def write_float_source(model: onnx.ModelProto) -> dict[str, str]:
    """File name -> text, of the network and of its Python module.

    Raises UnsupportedOperationError for an operator that the engine does not know, for weights
    that are no numbers, and for more of them than a compiler takes as constants.
    """
    program = FloatGraph(model).write()
    weights = sum(c.size for c in program.constants.values())
    if weights > _MOST_WEIGHTS:
        raise UnsupportedOperationError(
            f"the network has {weights:,} weights; the native engine compiles up to "
            f"{_MOST_WEIGHTS:,}: use onnxruntime for larger ones"
        )
    for name, values in program.constants.items():
        if not np.isfinite(values).all():
            raise UnsupportedOperationError(
                f"constant {name} holds NaN or inf: the native engine takes numbers"
            )
    return filled(
        _TEMPLATES,
        {
            "inputs": program.inputs,
            "outputs": program.outputs,
            "result": "float",
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
