"""An ONNX graph for the fused kernel: what is only moved or computed element by element stays a
formula, and layers of products and sums over axes become matrices in registers.

The walk, and what each operator means, are the CPU engine's (`export/native`). A tensor is again a
buffer and the places of its elements in it; here most buffers are never laid out.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.export.gpu.functions import require_functions
from triggerforge.export.gpu.fused_values import Formula, Matrix, Pieces, Values
from triggerforge.export.gpu.fused_writer import FusedWriter
from triggerforge.export.native.deferred import places_for, tree
from triggerforge.export.native.float_graph import FloatGraph
from triggerforge.export.native.place import Affine, Index, Place, row_major

_SHORT = 16
"""a sum of up to so many numbers that are no registers is written out"""


class FusedGraph(FloatGraph):
    """Writes the statements of one Triton kernel; `write` gives sizes, `writer` the text."""

    engine = "triton"
    writes_ahead = False

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        self.values: Values = {}
        self.writer = FusedWriter(self.values, self._program)

    def emit(self, statement: str) -> None:
        """Raises UnsupportedOperationError: an operator that writes C++ of its own has no formula."""
        raise self.unsupported(f"the {self.engine} engine has no such operation")

    def new(self, shape: Sequence[int], like: Affine | None = None, room: int = 0) -> Place:
        """A tensor that is put together of others."""
        return self._known(Pieces.empty(prod(shape)), tuple(shape))

    def fill(self, out: Place, value: str) -> None:
        """The same `value` at the places of `out`; a tensor has one such value."""
        pieces = self._pieces(out)
        if pieces.fill not in (None, value):
            raise self.unsupported(f"{pieces.fill} and {value} around one tensor")
        pieces.fill = value
        pieces.owner[out.index.ravel()] = -1

    def copy_into(self, out: Place, x: Place) -> None:
        """Puts x at the places of `out`; the network's outputs are written."""
        if out.buffer == "out":
            self.writer.store(x.buffer, x.index.reshape(1, -1))
            return
        self._pieces(out).put(out.index.ravel(), x.buffer, x.index.ravel())

    def elementwise(self, expression: str, *operands: Place) -> Place:
        """A formula for every element."""
        require_functions(self, expression)
        shape = self.broadcast(*(p.shape for p in operands))
        spread = [(p.buffer, np.broadcast_to(p.index, shape).ravel()) for p in operands]
        out = self._known(Formula(expression, spread), shape)
        return Place(out.buffer, out.index, *self.common(shape, operands))

    def reduce(self, x: Place, axes: Sequence[int], combine: str) -> Place:
        """A few numbers of the input are written out; others are joined over rows or columns."""
        kept = [a for a in range(x.index.ndim) if a not in axes]
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        index = x.index.transpose([*axes, *kept])
        index = index.reshape(prod(x.shape[a] for a in axes), -1)
        if len(index) <= _SHORT and not self._holds_matrix(x.buffer):
            text = tree(combine, places_for(len(index)))
            return self._known(Formula(text, [(x.buffer, row) for row in index]), shape).of_events(
                x
            )
        moves = self.writer.moves
        axis = 1 if moves(x.buffer, index) <= moves(x.buffer, index.T) else 2
        rows = index if axis == 1 else index.T
        return self._known(self.writer.reduced(x.buffer, rows, axis, combine), shape).of_events(x)

    def contract(self, first: Place, second: Place, axes: int, start: Place | None = None) -> Place:
        """Products of elements, then their sum."""
        terms = self.elementwise("{0} * {1}", first, second)
        rank = terms.index.ndim - axes
        total = self.reduce(terms, range(rank, rank + axes), "{0} + {1}")
        total = total.at(total.index.reshape(terms.shape[:rank]))
        return total if start is None else self.elementwise("{0} + {1}", total, start)

    def products(
        self,
        start: Place,
        taps: NDArray[Any],
        bias: NDArray[Any],
        layer: dict[str, int],
        relu: bool,
        out: Place | None,
    ) -> Place:
        """One product of matrices: all windows of all events, times the weights."""
        assert out is None
        sizes = layer["oy"], layer["ox"], *taps.shape[:3]
        steps = (layer[name] for name in ("y_step", "x_step", "y_tap", "x_tap", "c_tap"))
        index: Index = np.full(sizes, int(start.index), np.int64)
        for axis, (size, step) in enumerate(zip(sizes, steps, strict=True)):
            index += (np.arange(size) * step).reshape([-1 if a == axis else 1 for a in range(5)])
        weights = taps.reshape(-1, taps.shape[-1])
        matrix = self.writer.products(
            start.buffer,
            index.reshape(layer["oy"] * layer["ox"], -1),
            weights.astype(np.float32),
            bias.astype(np.float32),
            relu,
        )
        return self._known(matrix, (layer["oy"], layer["ox"], weights.shape[1]))

    def _pieces(self, out: Place) -> Pieces:
        pieces = self.values[out.buffer]
        assert isinstance(pieces, Pieces)
        return pieces

    def _known(self, value: Formula | Matrix | Pieces, shape: tuple[int, ...]) -> Place:
        name = f"b{len(self.values)}"
        self.values[name] = value
        return row_major(name, shape)

    def _holds_matrix(self, buffer: str) -> bool:
        value = self.values.get(buffer)
        if isinstance(value, Matrix):
            return True
        return value is not None and any(self._holds_matrix(name) for name in value.sources)
