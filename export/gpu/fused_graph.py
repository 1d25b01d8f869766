"""An ONNX graph for the fused kernel: what is only moved or computed element by element stays a
formula, and layers of products and sums over axes become matrices in registers.

The walk, and what each operator means, are the CPU engine's (`export/native`). A tensor is again a
buffer and the places of its elements in it; here most buffers are never laid out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.export.gpu.fused_values import Formula, Matrix, Pieces, Values
from triggerforge.export.gpu.fused_writer import FusedWriter
from triggerforge.export.native.float_graph import FloatGraph
from triggerforge.export.native.place import Affine, Index, Place, row_major

_SHORT = 16
"""a sum of up to so many numbers that are no registers is written out"""


class FusedGraph(FloatGraph):
    """Writes the statements of one Triton kernel; `write` gives sizes, `writer` the text."""

    engine = "triton"

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        self.values: Values = {}
        self.writer = FusedWriter(self.values, self._program)

    def new(self, shape: Sequence[int], like: Affine | None = None) -> Place:
        """A tensor that is put together of others."""
        return self._pieces(shape, "V()")

    def filled(self, shape: Sequence[int], like: Affine, value: str) -> Place:
        """A tensor with the same `value` wherever nothing is put."""
        return self._pieces(shape, value)

    def copy_into(self, out: Place, x: Place) -> None:
        """Puts x at the places of `out`; the network's outputs are written."""
        if out.buffer == "out":
            self.writer.store(x.buffer, x.index.reshape(1, -1))
            return
        pieces = self.values[out.buffer]
        assert isinstance(pieces, Pieces)
        pieces.put(out.index.ravel(), x.buffer, x.index.ravel())

    def elementwise(self, expression: str, *operands: Place) -> Place:
        """A formula for every element."""
        shape = np.broadcast_shapes(*(p.shape for p in operands))
        spread = [(p.buffer, np.broadcast_to(p.index, shape).ravel()) for p in operands]
        return self._known(Formula(expression, spread), shape)

    def reduce(self, x: Place, axes: Sequence[int], start: str, expression: str) -> Place:
        """A few numbers of the input are written out; others are summed over rows or columns."""
        kept = [a for a in range(x.index.ndim) if a not in axes]
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        index = x.index.transpose([*axes, *kept])
        index = index.reshape(int(np.prod([x.shape[a] for a in axes])), -1)
        if len(index) <= _SHORT and not self._holds_matrix(x.buffer):
            text = start
            for number in range(len(index)):
                text = f"({expression.replace('{0}', f'{{{number}}}').replace('{out}', text)})"
            return self._known(Formula(text, [(x.buffer, row) for row in index]), shape)
        axis = (
            1 if self.writer.moves(x.buffer, index) <= self.writer.moves(x.buffer, index.T) else 2
        )
        matrix = self.writer.reduced(
            x.buffer, index if axis == 1 else index.T, axis, start, expression
        )
        return self._known(matrix, shape)

    def products(
        self,
        node: onnx.NodeProto,
        start: Place,
        taps: NDArray[Any],
        bias: NDArray[Any],
        layer: dict[str, int],
    ) -> Place:
        """One product of matrices: all windows of all events, times the weights."""
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
            self.takes_relu(node),
        )
        return self._known(matrix, (layer["oy"], layer["ox"], weights.shape[1]))

    def _pieces(self, shape: Sequence[int], fill: str) -> Place:
        return self._known(Pieces.empty(int(np.prod(shape)), fill), tuple(shape))

    def _known(self, value: Formula | Matrix | Pieces, shape: tuple[int, ...]) -> Place:
        name = f"b{len(self.values)}"
        self.values[name] = value
        return row_major(name, shape)

    def _holds_matrix(self, buffer: str) -> bool:
        value = self.values.get(buffer)
        if isinstance(value, Matrix):
            return True
        return value is not None and any(self._holds_matrix(name) for name in value.sources)
