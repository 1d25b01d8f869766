"""Whether a fixed-point graph that a file brings along can be run: alkaid's interpreter takes it as it is.

Opcodes and their payload are those of alkaid 0.8 (`types.py`, ALIR specification 4).
"""

import math
from typing import Any

from alkaid.types import CombLogic, Op, QInterval

from triggerforge.errors import ModelError

_ARITY: dict[int, tuple[int, int]] = {
    -2: (1, 0),
    -1: (0, 1),
    0: (2, 1),
    1: (2, 1),
    2: (1, 0),
    3: (1, 1),
    4: (1, 2),
    5: (0, 1),
    6: (3, 1),
    7: (2, 0),
    8: (1, 1),
    9: (1, 1),
    10: (2, 2),
}
"""opcode → operands, integers beside them; 11, a sum, has any number of operands and two integers each"""
_SUM, _INPUT, _TABLE = 11, -1, 8
_CHOICES = {9: (0, 3), 10: (1, 3)}
"""bitwise operations: which of the integers says what is done, and how many there are"""
_SHIFTED = {0: 0, 1: 0, 3: 0, 4: 1, 6: 0, 10: 0}
"""opcode → which of the integers is a shift"""
_MAX_PLACES = 127
_MAX_BITS = 63  # of int64
_MAX_SIZE = 2**20


def require_sound(graph: CombLogic) -> None:
    """Raises ModelError, which names the operation, for a graph that cannot be run as it stands."""
    inputs, outputs = (_whole(size, "size of a port", 1, _MAX_SIZE) for size in graph.shape)
    for name, values, size in (
        ("inp_shifts", graph.inp_shifts, inputs),
        ("out_idxs", graph.out_idxs, outputs),
        ("out_shifts", graph.out_shifts, outputs),
        ("out_negs", graph.out_negs, outputs),
    ):
        if not isinstance(values, list) or len(values) != size:
            raise ModelError(f"the graph's {name} do not have the {size} entries of its port")
    for shift in (*graph.inp_shifts, *graph.out_shifts):
        _whole(shift, "shift of a port", -_MAX_PLACES, _MAX_PLACES)
    for index in graph.out_idxs:
        _whole(index, "output", -1, len(graph.ops) - 1)
    if not all(isinstance(sign, bool | int) for sign in graph.out_negs):
        raise ModelError("the graph's out_negs are not all true or false")
    for position, op in enumerate(graph.ops):
        try:
            _require_operation(graph, position, op, inputs)
        except ModelError as error:
            raise ModelError(f"operation {position} of the graph: {error}") from error


def _require_operation(graph: CombLogic, position: int, op: Op, inputs: int) -> None:
    if op.opcode == _SUM:
        operands, integers = len(op.addr), 2 * len(op.addr)
    elif op.opcode in _ARITY:
        operands, integers = _ARITY[op.opcode]
    else:
        raise ModelError(f"there is no opcode {op.opcode}")
    if len(op.addr) != operands or len(op.data) != integers or (op.opcode == _SUM and operands < 2):
        raise ModelError(
            f"opcode {op.opcode} takes {operands} operands and {integers} integers, not {len(op.addr)} "
            f"and {len(op.data)}"
        )
    for address in op.addr:
        _whole(address, "operand", 0, position - 1)
    _require_interval(op.qint)
    for number in (op.latency, op.cost):
        _finite(number, "latency or cost")
    if op.opcode == _INPUT:
        _whole(op.data[0], "input", 0, inputs - 1)
    if op.opcode == _TABLE:
        _require_table(graph, op)
    _require_integers(op)


def _require_integers(op: Op) -> None:
    shifts = op.data[1::2] if op.opcode == _SUM else ()
    if op.opcode in _SHIFTED:
        shifts = (op.data[_SHIFTED[op.opcode]],)
    for shift in shifts:
        _whole(shift, "shift", -_MAX_PLACES, _MAX_PLACES)
    if op.opcode in _CHOICES:
        place, choices = _CHOICES[op.opcode]
        _whole(op.data[place], "bitwise operation", 0, choices - 1)


def _require_table(graph: CombLogic, op: Op) -> None:
    tables = graph.lookup_tables or ()
    table = tables[_whole(op.data[0], "table", 0, len(tables) - 1)]
    low, high, step = graph.ops[op.addr[0]].qint
    if len(table.table) != round((high - low) / step) + 1:
        raise ModelError(
            f"its table has {len(table.table)} entries for {round((high - low) / step) + 1} inputs"
        )


def _require_interval(interval: QInterval) -> None:
    low, high, step = (_finite(number, "bound") for number in interval)
    if not low <= high or step <= 0 or math.frexp(step)[0] != 0.5:
        raise ModelError(f"{tuple(interval)} is no range with a power of two as its step")
    if max(abs(low), abs(high)) / step > 2.0**_MAX_BITS or abs(math.log2(step)) > _MAX_PLACES:
        raise ModelError(f"{tuple(interval)} takes more than {_MAX_BITS} bits")


def _whole(value: Any, what: str, low: int, high: int) -> int:
    if not isinstance(value, int) or not low <= value <= high:
        raise ModelError(f"its {what} is {str(value)[:40]}; {low} to {high} are possible")
    return value


def _finite(value: Any, what: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(f"its {what} is {str(value)[:40]}, not a finite number")
    return float(value)
