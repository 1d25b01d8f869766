"""An ONNX graph as C++ statements on the tensors of one event, in float32.

The statements know nothing of how many events are computed at once: a tensor's element is a `V`,
one number or a block of them. What a node does is written in `float_layers` and `float_dense`.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from triggerforge.errors import UnsupportedOperationError, did_you_mean
from triggerforge.export.native.loops import loop_nest
from triggerforge.export.native.place import Affine, Index, Place, laid_out_like, row_major

Handler = Callable[["FloatGraph", onnx.NodeProto], Place]
_HANDLERS: dict[str, Handler] = {}
_CHEAP = re.compile(r"(\{\d+\}|[\s()+*,-]|V|\d[\w.]*(e-?\d+)?f|rectified|larger|smaller|absolute)*")
"""expressions that cost no more than the memory that holding their values would"""
_MOST_OPERANDS = 64
"""of one statement"""
_TOGETHER, _FEW = 8, 4
"""sums under way at once where neighbours in memory are summed; fewest where eight do not fit"""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """A decorator: the function writes the ONNX operators of these names."""

    def store(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return store


@dataclass
class FloatProgram:
    """C++ for one graph."""

    shape: tuple[int, ...]
    """of one event's input"""
    outputs: int = 0
    statements: list[str] = field(default_factory=list)
    buffers: dict[str, int] = field(default_factory=dict)
    """name -> elements, of every tensor that is computed"""
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    """name -> weights (float32) or addresses (int32), flat"""

    @property
    def inputs(self) -> int:
        """Numbers of one event."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Deferred:
    """An elementwise result that is not written yet: it may never have to be."""

    out: Place
    expression: str
    operands: list[Place]
    """of the shape of `out`"""

    def seen_from(self, place: Place) -> list[Place]:
        """The operands of those elements that `place`, a view of `out`, holds."""
        element = np.argsort(self.out.index.ravel())[place.index]
        return [Place(p.buffer, p.index.ravel()[element]) for p in self.operands]


class FloatGraph:
    """One walk over an ONNX model whose first axis counts events."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        (given,), (wanted,) = graph.input, graph.output
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.where = ""
        """the node at hand, for error messages"""
        self.frames: dict[str, Place] = {}
        """buffers that have room around a tensor, and the whole of each"""
        self._names = 0
        self._nodes = list(graph.node)
        self._taken: list[str] = []
        self._deferred: dict[str, Deferred] = {}
        self._wanted = wanted.name
        readers: list[str] = [name for node in graph.node for name in node.input]
        self._readers = Counter([*readers, wanted.name])
        shape = tuple(int(d.dim_value) for d in given.type.tensor_type.shape.dim[1:])
        self._places = {given.name: row_major("in", shape)}
        self._program = FloatProgram(shape)

    def write(self) -> FloatProgram:
        """The statements of all nodes.

        Raises UnsupportedOperationError for an operator, or a use of one, that it does not know.
        """
        for node in self._nodes:
            if node.output[0] in self._places:  # taken along by the node before
                continue
            self.where = f"{node.op_type} ({node.name})"
            if node.op_type not in _HANDLERS:
                known = did_you_mean(node.op_type, _HANDLERS)
                raise self.unsupported(f"the native engine has no such operation; {known}")
            place = _HANDLERS[node.op_type](self, node)
            self._places |= dict.fromkeys((node.output[0], *self._taken), place)
            self._taken = []
        result = self._places[self._wanted]
        self._program.outputs = result.index.size
        if result.buffer != "out":
            self.copy_into(row_major("out", result.shape), result)
        return self._program

    def unsupported(self, what: str) -> UnsupportedOperationError:
        """The error to raise for something about the node at hand."""
        return UnsupportedOperationError(f"{self.where}: {what}")

    def constant(self, name: str) -> NDArray[Any] | None:
        """The values of a constant input; None where it depends on the event."""
        return self.constants.get(name)

    def place(self, name: str, rank: int = 0) -> Place:
        """A tensor of the event, or a constant, without its axis of events if it has more than `rank`."""
        if name in self._places:
            return self._places[name]
        values = self.constants[name]
        if values.ndim > rank:
            if values.shape[0] != 1:
                raise self.unsupported(
                    f"a constant of shape {values.shape} differs from event to event"
                )
            values = values[0]
        return Place(self.stored(values), row_major("", values.shape).index)

    def axis(self, axis: int, rank: int) -> int:
        """An axis of an ONNX tensor as one of the event's tensor of `rank` axes."""
        own = axis - 1 if axis > 0 else axis + rank
        if axis == 0 or not 0 <= own < rank:
            raise self.unsupported("it runs over the axis that counts events")
        return own

    def stored(self, values: NDArray[Any]) -> str:
        """The name under which the program holds a constant."""
        name = f"c{len(self._program.constants)}"
        self._program.constants[name] = np.ravel(values)
        return name

    def new(self, shape: Sequence[int], like: Affine | None = None, room: int = 0) -> Place:
        """A buffer for a tensor, its axes in the order in which those of `like` lie.

        `room` elements behind it may be written over.
        """
        place = laid_out_like(self._new_name(), tuple(shape), like)
        self._program.buffers[place.buffer] = place.index.size + room
        return place

    def _new_name(self) -> str:
        self._names += 1
        return f"t{self._names}"

    def emit(self, statement: str) -> None:
        """Adds C++ to the program."""
        self._program.statements.append(statement)

    def elementwise(self, expression: str, *operands: Place) -> Place:
        """`expression`, in which {0}, {1}, … are the operands' elements, for every element.

        It is written where its values are first needed in memory, or as a part of what reads them.
        """
        shape = np.broadcast_shapes(*(p.shape for p in operands))
        spread = [Place(p.buffer, np.broadcast_to(p.index, shape)) for p in operands]
        expression, spread = self._with_operands_inside(expression, spread)
        strided = [self.strided(p) for p in spread]
        like = max(strided, key=lambda pair: sum(s != 0 for s in pair[1].strides))[1]
        out = laid_out_like(self._new_name(), shape, like)
        self._deferred[out.buffer] = Deferred(out, expression, [place for place, _ in strided])
        return out

    def _with_operands_inside(
        self, expression: str, operands: list[Place]
    ) -> tuple[str, list[Place]]:
        """The expression with deferred operands written out, where that costs nothing."""
        texts: list[str] = []
        read: list[Place] = []
        for number, place in enumerate(operands):
            held = self._deferred.get(place.buffer)
            inside = (
                held is not None
                and expression.count(f"{{{number}}}") == 1
                and _CHEAP.fullmatch(held.expression) is not None
                and place.index.size <= held.out.index.size
                and len(held.operands) * len(operands) <= _MOST_OPERANDS
            )
            if held is None or not inside:
                texts.append(f"{{{len(read)}}}")
                read.append(place)
                continue
            names = [f"{{{len(read) + i}}}" for i in range(len(held.operands))]
            texts.append(f"({held.expression.format(*names)})")
            read += held.seen_from(place)
        return expression.format(*texts), read

    def reduce(self, x: Place, axes: Sequence[int], combine: str) -> Place:
        """Elements along `axes` joined by `combine` of {0} and {1}, in pairs. The axes stay, length 1."""
        layout = x.affine()
        if layout is None:
            x = self.copied(x)
            layout = x.affine()
        assert layout is not None
        kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        distance = [abs(s) for s in layout.strides]
        order = sorted(axes, key=lambda a: -distance[a])  # neighbours in memory come last
        rest = [a for a in range(len(kept)) if a not in axes]
        index = x.index.transpose([*rest, *order]).reshape([*(kept[a] for a in rest), -1])
        neighbours = any(distance[a] == 1 for a in order)
        rows = self._rows(x.buffer, index) if neighbours else None
        parts = [Place(x.buffer, i) for i in np.moveaxis(index, -1, 0)]
        if rows is not None:  # sums of their own for elements that lie side by side
            terms = [Place(x.buffer, i) for i in np.moveaxis(rows, -2, 0)]
            sums = self._joined(terms, combine)
            columns = [Place(sums.buffer, i) for i in np.moveaxis(sums.index, -1, 0)]
            parts = columns + parts[rows.shape[-2] * rows.shape[-1] :]
        joined = self._joined(parts, combine)
        return Place(joined.buffer, joined.index.reshape(kept))

    def _rows(self, buffer: str, index: Index) -> Index | None:
        """(…, elements) as (…, terms, sums), the last ones left out; None if it is no use."""
        count = index.shape[-1]
        whole = count // _TOGETHER * _TOGETHER
        cuts = [index[..., :whole].reshape(*index.shape[:-1], -1, _TOGETHER)]
        for terms in range(2, count // _FEW + 1):
            if count % terms == 0:
                cut = index.reshape(*index.shape[:-1], -1, terms)
                cuts.append(cut.swapaxes(-1, -2))
        regular = (c for c in cuts if c.shape[-2] > 1 and self._reads_regularly(buffer, c))
        return next(regular, None)

    def _reads_regularly(self, buffer: str, index: Index) -> bool:
        held, place = self._deferred.get(buffer), Place(buffer, index)
        read = [place] if held is None else held.seen_from(place)
        return all(p.affine() is not None for p in read)

    def _joined(self, parts: list[Place], combine: str) -> Place:
        """Tensors of one shape joined in pairs, and pairs of pairs, …"""
        while len(parts) > _MOST_OPERANDS:
            groups = range(0, len(parts), _MOST_OPERANDS)
            parts = [
                self.elementwise(_tree(combine, len(g)), *g)
                for g in (parts[i : i + _MOST_OPERANDS] for i in groups)
            ]
        return self.elementwise(_tree(combine, len(parts)), *parts)

    def strided(self, place: Place) -> tuple[Place, Affine]:
        """The tensor with its layout, copied first if its elements lie in no regular order."""
        layout = place.affine()
        if layout is None:
            place = self.copied(place)
            layout = place.affine()
        assert layout is not None
        self._written(place.buffer)
        return place, layout

    def _written(self, buffer: str) -> None:
        """Writes a deferred tensor where it was to lie."""
        held = self._deferred.pop(buffer, None)
        if held is not None:
            self._program.buffers[buffer] = held.out.index.size
            self._write(held.out, held.expression, held.operands)

    def copied(self, place: Place) -> Place:
        """The tensor in a buffer of its own, its last axis first."""
        out = self.new(place.shape)
        self.copy_into(out, place)
        return out

    def only_reader(self, name: str) -> onnx.NodeProto | None:
        """The node that alone reads a tensor; None if there are more, or none."""
        if self._readers[name] != 1:
            return None
        return next((n for n in self._nodes if name in n.input), None)

    def takes_along(self, node: onnx.NodeProto) -> None:
        """The node at hand does the work of `node` too: its tensor is that one's."""
        self._taken.append(node.output[0])

    def result_name(self, node: onnx.NodeProto) -> str:
        """The tensor that the node at hand makes, with what it took along."""
        return (*node.output, *self._taken)[-1]

    def is_output(self, name: str) -> bool:
        """Whether a tensor is what the network gives back."""
        return name == self._wanted

    def fill(self, out: Place, value: str) -> None:
        """Writes the same `value` everywhere."""
        self._write(out, value, [])

    def copy_into(self, out: Place, x: Place) -> None:
        """Writes x to where `out` lies."""
        expression, read = self._with_operands_inside("{0}", [x])
        if all(place.affine() is not None for place in read):
            for place in read:
                self._written(place.buffer)
            self._write(out, expression, read)
            return
        self._written(x.buffer)
        addresses = Place(
            self.stored(x.index.astype(np.int32)), np.arange(x.index.size).reshape(x.shape)
        )
        self._write(out, f"{x.buffer}[{{0}}]", [addresses])

    def _write(self, out: Place, expression: str, operands: list[Place]) -> None:
        layouts = [place.affine() for place in (out, *operands)]
        known = [layout for layout in layouts if layout is not None]
        assert len(known) == len(layouts)

        def filled(addresses: list[str]) -> str:
            names = [place.buffer for place in (out, *operands)]
            elements = [f"{n}[{a}]" for n, a in zip(names, addresses, strict=True)]
            return f"{elements[0]} = {expression.format(*elements[1:])};"

        self.emit(loop_nest(out.shape, known, filled))


def _tree(combine: str, count: int) -> str:
    """{0}, {1}, …, joined in pairs: short ways, and sums that lose few bits."""
    texts = [f"{{{i}}}" for i in range(count)]
    while len(texts) > 1:
        odd = texts[len(texts) // 2 * 2 :]
        pairs = zip(texts[::2], texts[1::2], strict=False)
        texts = [f"({combine.format(a, b)})" for a, b in pairs] + odd
    return texts[0]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
