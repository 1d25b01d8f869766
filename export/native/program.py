"""The fixed-point graph as C++ statements over integers, one for each operation.

A number v of the graph is held as the integer v / step, and step is 2^-fraction: additions align
their terms by shifts, as the firmware does (alkaid's `shift_adder`, `mux`, `multiplier`). The
statements know nothing of how wide the lanes are, nor whether one event or many are computed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from alkaid.types import CombLogic, Op
from numpy.typing import NDArray

from triggerforge.errors import UnsupportedOperationError


@dataclass(frozen=True)
class Number:
    """What integers a value of the graph takes: from `low` to `high`, in steps of 2^-fraction."""

    low: int
    high: int
    fraction: int

    @property
    def bits(self) -> int:
        """Width as a signed integer."""
        return max(self.high.bit_length(), (-self.low - 1).bit_length() if self.low < 0 else 0) + 1

    def shifted(self, left: int) -> "Number":
        """Times 2^left, the value the same: finer steps, or, to the right, coarser ones."""
        if left >= 0:
            return Number(self.low << left, self.high << left, self.fraction + left)
        return Number(self.low >> -left, self.high >> -left, self.fraction + left)


@dataclass(frozen=True)
class Program:
    """C++ for one graph."""

    statements: tuple[str, ...]
    tables: tuple[NDArray[np.int64], ...]
    inputs: tuple[Number, ...]
    """what each port carries, in steps of the numbers that come in"""
    outputs: tuple[tuple[str, int], ...]
    """expression and fraction of each output's integer"""
    bits: int
    """width of the widest number, intermediate results included"""


def write_program(alir: CombLogic) -> Program:
    """The statements of a graph, in its order; what no output needs is left out.

    Raises UnsupportedOperationError for an operation that it does not know.
    """
    return _Writer(alir).write()


class _Writer:
    def __init__(self, alir: CombLogic) -> None:
        self._alir = alir
        self._numbers = [_number(op) for op in alir.ops]
        self._inputs = [Number(0, 0, 0)] * alir.shape[0]
        self._bits = 1
        self._tables: list[NDArray[np.int64]] = []
        self._table_of: dict[tuple[int, int, int], int] = {}

    def write(self) -> Program:
        alir, needed = self._alir, _needed(self._alir)
        statements = tuple(
            f"const V v{i} = {self._expression(i, op)};"
            for i, op in enumerate(alir.ops)
            if i in needed
        )
        outputs = tuple(
            self._output(*told)
            for told in zip(alir.out_idxs, alir.out_shifts, alir.out_negs, strict=True)
        )
        return Program(statements, tuple(self._tables), tuple(self._inputs), outputs, self._bits)

    def _output(self, index: int, shift: int, negative: bool) -> tuple[str, int]:
        if index < 0:
            return "V{}", 0
        return f"{'-' if negative else ''}v{index}", self._numbers[index].fraction - int(shift)

    def _expression(self, index: int, op: Op) -> str:
        """The right-hand side of an operation, in the integers of its result."""
        result = self._numbers[index]
        self._bits = max(self._bits, result.bits)
        if result.low == result.high:
            return f"V{{}} + {result.low}"
        writer = _OPERATIONS.get(op.opcode)
        if writer is None:
            raise UnsupportedOperationError(
                f"operation {index} of the graph has opcode {op.opcode}; the native engine knows "
                f"{sorted(_OPERATIONS)}"
            )
        return writer(self, op, result)

    def _input(self, op: Op, result: Number) -> str:
        (index,) = op.data
        fraction = result.fraction + self._alir.inp_shifts[index]
        self._inputs[index] = Number(result.low, result.high, fraction)
        return f"in[{index}]"

    def _negative(self, op: Op, result: Number) -> str:
        return self._sum([(op.addr[0], False, 0)], result)

    def _addition(self, op: Op, result: Number) -> str:
        first, second = op.addr
        return self._sum([(first, True, 0), (second, op.opcode == 0, op.data[0])], result)

    def _many(self, op: Op, result: Number) -> str:
        signs, shifts = op.data[0 : 2 * len(op.addr) : 2], op.data[1 : 2 * len(op.addr) : 2]
        return self._sum(
            [(a, bool(s), k) for a, s, k in zip(op.addr, signs, shifts, strict=True)], result
        )

    def _sum(self, terms: list[tuple[int, bool, int]], result: Number, constant: str = "") -> str:
        """Terms (operand, whether it is added, power of two), aligned to the finest of them."""
        fractions = [self._numbers[a].fraction - shift for a, _, shift in terms]
        finest = max([*fractions, result.fraction])
        self._bits = max(self._bits, result.shifted(finest - result.fraction).bits)
        words = []
        for (operand, plus, _), fraction in zip(terms, fractions, strict=True):
            aligned = self._numbers[operand].shifted(finest - fraction)
            self._bits = max(self._bits, aligned.bits)
            words.append(f"{'+' if plus else '-'} {self._moved(operand, finest - fraction)}")
        text = " ".join(words).removeprefix("+ ")
        return _right(text, finest - result.fraction)

    def _moved(self, operand: int, left: int) -> str:
        return f"(v{operand} << {left})" if left else f"v{operand}"

    def _constant_added(self, op: Op, result: Number) -> str:
        (operand,), (value, fraction) = op.addr, op.data[:2]
        number = self._numbers[operand]
        finest = max(number.fraction, fraction, result.fraction)
        aligned = number.shifted(finest - number.fraction)
        self._bits = max(self._bits, aligned.bits, result.shifted(finest - result.fraction).bits)
        added = int(value) << (finest - fraction)
        text = f"{self._moved(operand, finest - number.fraction)} + ({added})"
        return _right(text, finest - result.fraction)

    def _relu(self, op: Op, result: Number) -> str:
        number = self._numbers[op.addr[0]]
        positive = f"relu(v{op.addr[0]})" if number.low < 0 else f"v{op.addr[0]}"
        whole = Number(max(0, number.low), max(0, number.high), number.fraction)
        return self._cut(positive, whole, result)

    def _quantized(self, op: Op, result: Number) -> str:
        number = self._numbers[op.addr[0]]
        moved = Number(number.low, number.high, number.fraction - op.data[0])
        return self._cut(f"v{op.addr[0]}", moved, result)

    def _cut(self, text: str, number: Number, result: Number) -> str:
        """Drops bits below the result's last and, where some are set, above its first."""
        aligned = number.shifted(result.fraction - number.fraction)
        self._bits = max(self._bits, aligned.bits)
        text = _right(text, number.fraction - result.fraction)
        if result.low <= aligned.low and aligned.high <= result.high:
            return text
        return f"wrap<{_wire(result)}, {'true' if result.low < 0 else 'false'}>({text})"

    def _choice(self, op: Op, result: Number) -> str:
        first, second, condition = op.addr
        asked = self._numbers[condition]
        if asked.low < 0:
            set_bit = f"v{condition} < 0"
        else:
            set_bit = f"v{condition} >= {1 << (_wire(asked) - 1)}"
        sides = [
            self._cut(f"v{operand}", Number(n.low, n.high, n.fraction - shift), result)
            for operand, shift in ((first, 0), (second, op.data[0]))
            for n in [self._numbers[operand]]
        ]
        return f"choose({set_bit}, {sides[0]}, {sides[1]})"

    def _product(self, op: Op, result: Number) -> str:
        first, second = op.addr
        fraction = self._numbers[first].fraction + self._numbers[second].fraction
        self._bits = max(self._bits, result.shifted(fraction - result.fraction).bits)
        return _right(f"v{first} * v{second}", fraction - result.fraction)

    def _bits_of_one(self, op: Op, result: Number) -> str:
        """All bits turned over; whether any is set; whether all are."""
        (operand,), kind = op.addr, op.data[0]
        number = self._numbers[operand]
        if kind == 0:
            return f"wrap<{_wire(result)}, {'true' if result.low < 0 else 'false'}>(~v{operand})"
        all_set = -1 if number.low < 0 else number.high
        asked = f"v{operand} != 0" if kind == 1 else f"v{operand} == {all_set}"
        return f"choose({asked}, V{{}} + 1, V{{}})"

    def _bitwise(self, op: Op, result: Number) -> str:
        (first, second), (shift, kind) = op.addr, op.data
        fractions = [self._numbers[first].fraction, self._numbers[second].fraction - shift]
        finest = max([*fractions, result.fraction])
        sides = []
        for operand, fraction in zip((first, second), fractions, strict=True):
            self._bits = max(self._bits, self._numbers[operand].shifted(finest - fraction).bits)
            sides.append(self._moved(operand, finest - fraction))
        return _right(f"{sides[0]} {'&|^'[kind]} {sides[1]}", finest - result.fraction)

    def _lookup(self, op: Op, result: Number) -> str:
        number = self._numbers[op.addr[0]]
        key = (op.data[0], result.fraction, number.low)
        if key not in self._table_of:
            assert self._alir.lookup_tables is not None
            values = self._alir.lookup_tables[op.data[0]].float_table * 2.0**result.fraction
            self._table_of[key] = len(self._tables)
            self._tables.append(np.asarray(values, np.int64))
        return f"look_up(table{self._table_of[key]}, v{op.addr[0]}, {-number.low})"


_OPERATIONS = {
    -2: _Writer._negative,
    -1: _Writer._input,
    0: _Writer._addition,
    1: _Writer._addition,
    2: _Writer._relu,
    3: _Writer._quantized,
    4: _Writer._constant_added,
    6: _Writer._choice,
    7: _Writer._product,
    8: _Writer._lookup,
    9: _Writer._bits_of_one,
    10: _Writer._bitwise,
    11: _Writer._many,
}


def _number(op: Op) -> Number:
    low, high, step = op.qint
    return Number(round(low / step), round(high / step), round(-np.log2(step)))


def _wire(number: Number) -> int:
    """Bits of the wire that carries it: without a sign bit where it is never negative."""
    return number.bits if number.low < 0 else number.bits - 1


def _right(text: str, places: int) -> str:
    """Shifted to the right, that is towards minus infinity; to the left if `places` is negative."""
    if places == 0:
        return text
    return f"(({text}) {'>>' if places > 0 else '<<'} {abs(places)})"


def _needed(alir: CombLogic) -> set[int]:
    """The operations that some output depends on."""
    needed: set[int] = set()
    for index in _backwards(alir):
        needed.add(index)
    return needed


def _backwards(alir: CombLogic) -> Iterator[int]:
    wanted = {i for i in alir.out_idxs if i >= 0}
    for index in reversed(range(len(alir.ops))):
        if index in wanted:
            wanted.update(alir.ops[index].addr)
            yield index
