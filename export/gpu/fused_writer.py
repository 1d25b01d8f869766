"""Statements of a Triton kernel on blocks (events, rows, columns), all sizes powers of two.

Rows and columns beyond a tensor's own hold anything, and are masked before they can meet others.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.gpu.fused_values import (
    Formula,
    Matrix,
    Pieces,
    Values,
    padded_columns,
    padded_rows,
)
from triggerforge.export.native.float_graph import FloatProgram
from triggerforge.export.native.place import Affine, Index, Place

_NAN = " + tl.sum(tl.where({0} == {0}, 0.0, {0}), {axis}, keep_dims=True)"  # which max and min lose
_REDUCED = {
    "{0} + {1}": ("V()", "tl.sum({0}, {axis}, keep_dims=True)"),
    "{0} * {1}": ("V(1.0f)", "tl.reduce({0}, {axis}, multiplied, keep_dims=True)"),
    "larger({0}, {1})": ("V(-INFINITY)", "tl.max({0}, {axis}, keep_dims=True)" + _NAN),
    "smaller({0}, {1})": ("V(INFINITY)", "tl.min({0}, {axis}, keep_dims=True)" + _NAN),
}
"""how two elements are joined -> what changes nothing, and the joined elements of an axis"""


class FusedWriter:
    """Gathers what is done once for a program, `prologue`, and for each tile of events, `body`."""

    def __init__(self, values: Values, program: FloatProgram) -> None:
        self.prologue: list[str] = []
        self.body: list[str] = []
        self.numbers: list[NDArray[np.float32]] = []
        """weights and constants, in the order of the kernel's array `weights`"""
        self.addresses: list[NDArray[np.int32]] = []
        """in the order of the kernel's array `tables`"""
        self.rows = 1
        """the most rows of an event that a product of matrices has"""
        self._values, self._program = values, program
        self._known: dict[tuple[Any, ...], str] = {}
        self._variables = 0

    def block(self, buffer: str, index: Index) -> str:
        """The variable that holds elements `index` (rows, columns); axes of length 1 may stand for more."""
        index = index[:1] if (index == index[:1]).all() else index
        index = index[:, :1] if (index == index[:, :1]).all() else index
        key = (buffer, index.shape, index.tobytes())
        if key not in self._known:
            value = self._values.get(buffer)
            if buffer == "in":
                self._known[key] = self._input(index)
            elif isinstance(value, Formula):
                self._known[key] = self._formula(value, index)
            elif isinstance(value, Pieces):
                self._known[key] = self._joined(value, index)
            elif isinstance(value, Matrix):
                self._known[key] = self._moved(value, index)
            else:
                self._known[key] = self._constant(self._program.constants[buffer][index])
        return self._known[key]

    def products(
        self,
        buffer: str,
        index: Index,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        relu: bool,
    ) -> Matrix:
        """Elements (rows, in) of every event times weights (in, out), plus the bias (out,)."""
        rows, columns = index.shape
        inner, outer = padded_columns(columns), padded_columns(weights.shape[1])
        x = self._flat(
            self._masked(self.block(buffer, index), index.shape, "0.0", rows=False), index.shape
        )
        w = self._stored(weights, (inner, outer))
        b = self._stored(bias[None], (1, outer))
        self.rows = max(self.rows, padded_rows(rows))
        if inner == 1:
            text = f"{x} * {w}"
        elif outer == 1:
            text = f"tl.sum({x} * tl.trans({w}), 1, keep_dims=True)"
        else:
            text = f"tl.dot({x}.to(KIND), {w}.to(KIND), input_precision=PRODUCTS)"
        text = f"rectified({text} + {b})" if relu else f"{text} + {b}"
        size = f"E, {padded_rows(rows)}, {outer}"
        return Matrix(self._let(f"tl.reshape({text}, ({size}))"), rows, weights.shape[1])

    def reduced(self, buffer: str, index: Index, axis: int, combine: str) -> Matrix:
        """Elements (rows, columns) of every event joined over rows, axis 1, or columns, axis 2."""
        neutral, joined = _REDUCED[combine]
        x = self._whole(self.block(buffer, index), index.shape)
        x = self._masked(x, index.shape, translated(neutral), rows=axis == 1, columns=axis == 2)
        rows, columns = (1, index.shape[1]) if axis == 1 else (index.shape[0], 1)
        return Matrix(self._let(joined.format(x, axis=axis)), rows, columns)

    def store(self, buffer: str, index: Index) -> None:
        """Writes elements `index` (1, outputs) of every event to the kernel's outputs."""
        outputs = index.shape[1]
        column = self._counter("c", padded_columns(outputs))
        x = self._whole(self.block(buffer, index), index.shape)
        self.body.append(
            f"tl.store(y + event * {outputs} + {column}, {x}, mask=there & ({column} < {outputs}))"
        )

    def moves(self, buffer: str, index: Index) -> int:
        """How many matrices would have to be put into another order for these elements."""
        value = self._values.get(buffer)
        if isinstance(value, Formula):
            return sum(self.moves(name, own[index]) for name, own in value.operands)
        if isinstance(value, Pieces):
            return len(value.sources)
        return int(isinstance(value, Matrix) and self._in_order(value, index) is None)

    def _input(self, index: Index) -> str:
        """Loaded from memory, where the event's inputs lie behind each other."""
        rows, columns = padded_rows(index.shape[0]), padded_columns(index.shape[1])
        row, column = self._counter("r", rows), self._counter("c", columns)
        layout = Place("in", index).affine()
        address = (
            self._address(layout, row, column)
            if layout
            else self._once(f"tl.load(tables + {self._table(index, (rows, columns))})")
        )
        mask = f"there & ({row} < {index.shape[0]}) & ({column} < {index.shape[1]})"
        inputs = self._program.inputs
        return self._let(f"tl.load(x + event * {inputs} + {address}, mask={mask}, other=0.0)")

    def _address(self, layout: Affine, row: str, column: str) -> str:
        return f"({layout.address([row, column])})"

    def _constant(self, values: NDArray[Any]) -> str:
        if values.size == 1:
            return self._once(f"tl.full((1, 1, 1), {float(values.item())!r}, tl.float32)")
        padded = padded_rows(values.shape[0]), padded_columns(values.shape[1])
        return self._once(f"{self._stored(values, padded)}[None, :, :]")

    def _formula(self, value: Formula, index: Index) -> str:
        operands = [self.block(name, own[index]) for name, own in value.operands]
        return self._let(translated(value.expression.format(*operands)))

    def _joined(self, value: Pieces, index: Index) -> str:
        owner = value.owner[index]
        result = f"tl.full((1, 1, 1), {translated(value.fill or 'V()')}, tl.float32)"
        for number, name in enumerate(value.sources):
            here = owner == number
            if not here.any():
                continue
            source = value.source[index]
            # elsewhere any element serves that can be read
            x = self.block(name, np.where(here, source, source[here][0]))
            if here.all():
                result = x
            else:
                mask = self._constant(here.astype(np.float32))
                result = self._let(f"tl.where({mask} > 0.5, {x}, {result})")
        return result

    def _moved(self, value: Matrix, index: Index) -> str:
        """Elements of a matrix in registers: as they lie, or gathered through shared memory."""
        text = self._in_order(value, index)
        if text is not None:
            return text if text == value.variable else self._let(text)
        rows, columns = padded_rows(index.shape[0]), padded_columns(index.shape[1])
        length = value.padded[0] * value.padded[1]
        table = self._once(f"tl.load(tables + {self._table(value.places(index), (rows, columns))})")
        flat = f"tl.broadcast_to(tl.reshape({table}, (1, {rows * columns})), (E, {rows * columns}))"
        x = f"tl.reshape({value.variable}, (E, {length}))"
        return self._let(f"tl.reshape(tl.gather({x}, {flat}, 1), (E, {rows}, {columns}))")

    def _in_order(self, value: Matrix, index: Index) -> str | None:
        """The elements without moving any between threads' columns; None where that cannot be."""
        index = index[:1] if (index == index[:1]).all() else index
        index = index[:, :1] if (index == index[:, :1]).all() else index
        own = np.arange(value.rows * value.columns).reshape(value.rows, value.columns)
        if np.array_equal(index, own):
            return value.variable
        wanted = Matrix("", *index.shape)
        if np.array_equal(index, own.T) and wanted.padded == value.padded[::-1]:
            return f"tl.permute({value.variable}, (0, 2, 1))"
        same_size = np.prod(wanted.padded) == np.prod(value.padded)
        positions = wanted.places(np.arange(index.size).reshape(index.shape))
        if same_size and np.array_equal(value.places(index), positions):
            return f"tl.reshape({value.variable}, (E, {wanted.padded[0]}, {wanted.padded[1]}))"
        return None

    def _whole(self, x: str, shape: tuple[int, ...]) -> str:
        size = f"(E, {padded_rows(shape[0])}, {padded_columns(shape[1])})"
        return self._let(f"tl.broadcast_to({x}, {size})")

    def _flat(self, x: str, shape: tuple[int, ...]) -> str:
        """(events, rows, columns) as the rows of one matrix."""
        rows, columns = padded_rows(shape[0]), padded_columns(shape[1])
        return self._let(f"tl.reshape({self._whole(x, shape)}, (E * {rows}, {columns}))")

    def _masked(
        self, x: str, shape: tuple[int, ...], value: str, rows: bool = True, columns: bool = True
    ) -> str:
        padded = padded_rows(shape[0]), padded_columns(shape[1])
        inside = [
            f"({self._counter(name, whole)} < {own})"
            for name, whole, own, asked in zip("rc", padded, shape, (rows, columns), strict=True)
            if asked and whole != own
        ]
        return self._let(f"tl.where({' & '.join(inside)}, {x}, {value})") if inside else x

    def _stored(self, values: NDArray[Any], padded: tuple[int, int]) -> str:
        """Loaded once from the kernel's `weights`, padded with zeros."""
        if not np.isfinite(values).all():
            raise UnsupportedOperationError(
                "a constant holds NaN or inf: the triton engine takes numbers"
            )
        offset = sum(n.size for n in self.numbers)
        self.numbers.append(_padded(values, padded).astype(np.float32))
        return self._once(f"tl.load(weights + {_block(offset, padded)})")

    def _table(self, index: Index, padded: tuple[int, int]) -> str:
        offset = sum(a.size for a in self.addresses)
        self.addresses.append(_padded(index, padded).astype(np.int32))
        return f"{_block(offset, padded)}[None, :, :]"

    def _counter(self, name: str, length: int) -> str:
        """0, 1, … along the rows, "r", or the columns, "c"."""
        line = "[None, :, None]" if name == "r" else "[None, None, :]"
        text = f"{name}{length} = tl.arange(0, {length}){line}"
        if text not in self.prologue:
            self.prologue.append(text)
        return f"{name}{length}"

    def _once(self, text: str) -> str:
        return self._assigned(self.prologue, text)

    def _let(self, text: str) -> str:
        return self._assigned(self.body, text)

    def _assigned(self, lines: list[str], text: str) -> str:
        name = f"v{self._variables}"
        self._variables += 1
        lines.append(f"{name} = {text}")
        return name


def translated(expression: str) -> str:
    """C++ of the CPU engine's operators as Triton: numbers without their suffix, V() as zero."""
    text = expression.replace("V()", "0.0").replace("INFINITY", 'float("inf")')
    text = re.sub(r"\bV\(", "(", text)
    return re.sub(r"(?<![\w.])(\d+(?:\.\d*)?(?:e[+-]?\d+)?)f\b", r"\1", text)


def _padded(values: NDArray[Any], padded: tuple[int, int]) -> NDArray[Any]:
    sides = [(0, whole - own) for whole, own in zip(padded, values.shape, strict=True)]
    return np.pad(values, sides)


def _block(offset: int, padded: tuple[int, int]) -> str:
    """Addresses (rows, columns) of a matrix at `offset`."""
    rows, columns = (f"tl.arange(0, {n})" for n in padded)
    return f"({offset} + {rows}[:, None] * {padded[1]} + {columns}[None, :])"
