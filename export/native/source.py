"""The C++ files of a quantised network: the statements of its graph in the templates."""

from typing import Any

import numpy as np
from alkaid.types import CombLogic
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.native.grid import grid_values
from triggerforge.export.native.program import Program, write_program
from triggerforge.export.native.text import filled

_LANES = {16: "std::int16_t", 32: "std::int32_t", 64: "std::int64_t"}
_FLOAT_BITS = 24  # integers up to 2^24 are exact in float32
_NETWORK = {"integer_network.h": True, "lanes.h": False}
_TEMPLATES = {
    "integer.cc": True,
    "network.h": True,
    "module.cc": True,
    "turn.h": False,
    "unrolled.h": False,
}


def network_source(alir: CombLogic) -> dict[str, str]:
    """File name -> text, of `integer_network.h` and what it includes: `one_event` for any compiler.

    Raises UnsupportedOperationError if a number has more than 64 bits.
    """
    return filled(_NETWORK, _values(alir))


def write_source(alir: CombLogic, contract: InputContract) -> dict[str, str]:
    """File name -> text, of the network for events of the contract and of its Python module.

    The lanes are the narrowest that hold every number on the way. Raises UnsupportedOperationError
    if a number has more than 64 bits.
    """
    module = {
        "numpy_result": "NPY_FLOAT64",
        "shape": ", ".join(map(str, contract.shape)),
        **grid_values(contract),
    }
    return filled(_NETWORK | _TEMPLATES, _values(alir) | module)


def _values(alir: CombLogic) -> dict[str, Any]:
    program = write_program(alir)
    width = next((bits for bits in _LANES if program.bits <= bits), None)
    if width is None:
        raise UnsupportedOperationError(
            f"a number of the graph has {program.bits} bits; the native engine holds 64: "
            "quantise the network to fewer"
        )
    return {
        "inputs": alir.shape[0],
        "outputs": alir.shape[1],
        "result": "double",
        "port": "float" if max(n.bits for n in program.inputs) <= _FLOAT_BITS else "double",
        "input_scales": _list(2.0**n.fraction for n in program.inputs),
        "input_lows": _list(n.low for n in program.inputs),
        "input_highs": _list(n.high for n in program.inputs),
        "output_scales": _list(2.0**-f for _, f in program.outputs),
        "tables": "\n".join(_table(i, t) for i, t in enumerate(program.tables)),
        "statements": _body(program),
        "lane": _LANES[width],
        "scalar": _LANES[max(32, width)],  # narrower ones are widened in every operation anyway
    }


def _body(program: Program) -> str:
    outputs = [f"out[{i}] = {text};" for i, (text, _) in enumerate(program.outputs)]
    return "\n".join(f"  {line}" for line in [*program.statements, *outputs])


def _list(values: object) -> str:
    return ", ".join(f"{value!r}" for value in values)  # type: ignore[attr-defined]


def _table(index: int, values: NDArray[np.int64]) -> str:
    """Entries as narrow as they can be: a table of a thousand stays in the first cache."""
    width = next(w for w in (8, 16, 32, 64) if _fits(values, w))
    return f"constexpr std::int{width}_t table{index}[] = {{{', '.join(map(str, values))}}};"


def _fits(values: NDArray[np.int64], width: int) -> bool:
    limit = 2 ** (width - 1)
    return bool((values >= -limit).all() and (values < limit).all())
