"""An ONNX graph as C++ statements on the tensors of one event, in float32.

The statements know nothing of how many events are computed at once: a tensor's element is a `V`,
one number or a block of them. Truth values are 0 and 1, and integers are floats too: exact up to
2^24. What a node does is written in the modules beside this one, operator by operator.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.errors import UnsupportedOperationError, did_you_mean
from triggerforge.export.native.deferred import (
    MOST_OPERANDS,
    Deferred,
    places_for,
    reads_regularly,
    tree,
    with_operands_inside,
)
from triggerforge.export.native.float_settle import EVENTS, settle
from triggerforge.export.native.loops import loop_nest
from triggerforge.export.native.place import Affine, Index, Place, laid_out_like, row_major

Handler = Callable[["FloatGraph", onnx.NodeProto], Place | Sequence[Place]]
_HANDLERS: dict[str, Handler] = {}
_PADDING = 16
"""floats in the widest register: rows of weights begin at multiples of it"""
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


class FloatGraph:
    """One walk over an ONNX model; the first axis of its input and of its output counts events."""

    engine = "native"
    """whose operations are meant, in error messages"""
    writes_ahead = True
    """whether a layer may write straight to where its reader wants it"""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        (given,), (wanted,) = graph.input, graph.output
        settled = settle(model)
        self.constants, self._kinds = settled.constants, settled.kinds
        self.where = "the graph"
        """the node at hand, for error messages"""
        self.frames: dict[str, Place] = {}
        """buffers that have room around a tensor, and the whole of each"""
        self._names = 0
        self._nodes = settled.nodes
        self._taken: list[str] = []
        self._deferred: dict[str, Deferred] = {}
        self._wanted = wanted.name
        readers: list[str] = [name for node in self._nodes for name in node.input]
        self._readers = Counter([*readers, wanted.name])
        shape = tuple(int(d.dim_value) for d in given.type.tensor_type.shape.dim[1:])
        self._places = {given.name: as_events(row_major("in", shape))}
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
                raise self.unsupported(f"the {self.engine} engine has no such operation; {known}")
            found = _HANDLERS[node.op_type](self, node)
            places = [found] if isinstance(found, Place) else found
            if not all(place.index.size for place in places):
                raise self.unsupported("a tensor without elements")
            self._places |= dict(zip(node.output, places, strict=False))
            self._places |= dict.fromkeys(self._taken, places[0])
            self._taken = []
        self.where = f"the output {self._wanted}"
        result = self.one_event(self._wanted)
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

    def kind(self, name: str) -> int:
        """The ONNX element type of a tensor; 0 where it is not known."""
        if name in self.constants:
            return onnx.helper.np_dtype_to_tensor_dtype(self.constants[name].dtype)
        return self._kinds.get(name, 0)

    def place(self, name: str) -> Place:
        """A tensor of the event, or a constant."""
        if name in self._places:
            return self._places[name]
        values = self.constants[name]
        for axis, length in enumerate(values.shape):
            if length and length % EVENTS == 0:
                one = np.take(values, [0], axis)
                if not np.array_equal(values, np.broadcast_to(one, values.shape), equal_nan=True):
                    raise self.unsupported(f"the constant {name} differs from event to event")
                values = one
        return self.literal(values)

    def literal(self, values: NDArray[Any]) -> Place:
        """A constant that is the same for every event."""
        flat = row_major("", np.shape(values)).index
        return Place(self.stored(np.asarray(values, np.float32)), flat)

    def one_event(self, name: str) -> Place:
        """The same without the axis of events, which must be the first."""
        x = self.place(name)
        if x.index.ndim == 0 or x.events not in (0, None) or x.shape[0] != 1:
            raise self.unsupported(f"the first axis of {name} does not count events")
        return Place(x.buffer, x.index[0])

    def axis(self, axis: int, x: Place) -> int:
        """An axis as a number from 0; raises for the one that counts events."""
        rank = x.index.ndim
        own = axis + rank if axis < 0 else axis
        if not 0 <= own < rank:
            raise self.unsupported(f"axis {axis} of a tensor of {rank} axes")
        if own == x.events:
            raise self.unsupported("it runs over the axis that counts events")
        return own

    def common(self, shape: Sequence[int], operands: Sequence[Place]) -> tuple[int | None, int]:
        """`events` and `inner` of what `operands` are broadcast to."""
        known = {
            (len(shape) + p.events - p.index.ndim, p.shape[p.events], p.inner)
            for p in operands
            if p.events is not None
        }
        if not known:
            return None, 1
        if len(known) > 1:
            raise self.unsupported("it mixes events: they are counted by different axes")
        ((events, length, inner),) = known
        for p in operands:
            own = events - len(shape) + p.index.ndim
            if p.events is None and own >= 0 and p.shape[own] != 1:
                raise self.unsupported(f"a constant of shape {p.shape} differs from event to event")
        assert shape[events] == length
        return events, inner

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
        shape = self.broadcast(*(p.shape for p in operands))
        spread = [Place(p.buffer, np.broadcast_to(p.index, shape)) for p in operands]
        expression, spread = with_operands_inside(self._deferred, expression, spread)
        strided = [self.strided(p) for p in spread]
        like = max(strided, key=lambda pair: sum(s != 0 for s in pair[1].strides))[1]
        out = laid_out_like(self._new_name(), shape, like)
        self._deferred[out.buffer] = Deferred(out, expression, [place for place, _ in strided])
        return Place(out.buffer, out.index, *self.common(shape, operands))

    def broadcast(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that all of them have after broadcasting."""
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError as error:
            raise self.unsupported(f"shapes {shapes} of one event do not fit") from error

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
        return Place(joined.buffer, joined.index.reshape(kept)).of_events(x)

    def _rows(self, buffer: str, index: Index) -> Index | None:
        """(…, elements) as (…, terms, sums), the last ones left out; None if it is no use."""
        count = index.shape[-1]
        whole = count // _TOGETHER * _TOGETHER
        cuts = [index[..., :whole].reshape(*index.shape[:-1], -1, _TOGETHER)]
        for terms in range(2, count // _FEW + 1):
            if count % terms == 0:
                cut = index.reshape(*index.shape[:-1], -1, terms)
                cuts.append(cut.swapaxes(-1, -2))
        regular = (
            c for c in cuts if c.shape[-2] > 1 and reads_regularly(self._deferred, buffer, c)
        )
        return next(regular, None)

    def _joined(self, parts: list[Place], combine: str) -> Place:
        """Tensors of one shape joined in pairs, and pairs of pairs, …"""
        while len(parts) > MOST_OPERANDS:
            groups = range(0, len(parts), MOST_OPERANDS)
            parts = [
                self.elementwise(tree(combine, places_for(len(g))), *g)
                for g in (parts[i : i + MOST_OPERANDS] for i in groups)
            ]
        return self.elementwise(tree(combine, places_for(len(parts))), *parts)

    def contract(self, first: Place, second: Place, axes: int, start: Place | None = None) -> Place:
        """Products of two tensors that are broadcast together, summed over the last `axes` axes.

        Sums begin with `start`, or with 0.
        """
        shape = self.broadcast(first.shape, second.shape)
        kept, terms = shape[: len(shape) - axes], prod(shape[len(shape) - axes :])
        wide = [self.strided(p.at(np.broadcast_to(p.index, shape)))[0] for p in (first, second)]
        index = [p.index.reshape(*kept, terms) for p in wide]
        parts = [
            [Place(p.buffer, i[..., term]) for p, i in zip(wide, index, strict=True)]
            for term in range(terms)
        ]
        few = MOST_OPERANDS // 2
        sums = []
        for group in (parts[i : i + few] for i in range(0, terms, few)):
            texts = [f"{{{2 * i}}} * {{{2 * i + 1}}}" for i in range(len(group))]
            sums.append(
                self.elementwise(tree("{0} + {1}", texts), *(p for pair in group for p in pair))
            )
        if start is not None:
            sums.append(Place(start.buffer, np.broadcast_to(start.index, kept)))
        out = self._joined(sums, "{0} + {1}")
        return Place(out.buffer, out.index, *self.common(shape, (first, second)))

    def products(
        self,
        start: Place,
        taps: NDArray[Any],
        bias: NDArray[Any],
        layer: dict[str, int],
        relu: bool,
        out: Place | None,
    ) -> Place:
        """x times weights `taps` (ky, kx, in, out) plus a bias (out,), then a ReLU if asked for.

        x[oy, ox, ky, kx, in] lies at `start` and in steps of `layer`: y_step, x_step, y_tap, x_tap,
        c_tap. The result (oy, ox, out) goes to `out`, or where there is room.
        """
        width = taps.shape[-1]
        whole = -(-width // _PADDING) * _PADDING
        ends = [(0, 0)] * (taps.ndim - 1) + [(0, whole - width)]
        weights = self.stored(np.pad(taps, ends).astype(np.float32))
        biases = self.stored(np.pad(bias, (0, whole - width)).astype(np.float32))
        alone = out is None and layer["oy"] == layer["ox"] == 1
        out = out or self.new((layer["oy"], layer["ox"], width), room=whole - width)
        layout = out.affine()
        assert layout is not None
        y_out, x_out, _ = layout.strides
        layer = layer | {"ci": taps.shape[2], "co": width, "padded": whole, "exact": int(not alone)}
        layer |= {"y_out": y_out, "x_out": x_out, "relu": int(relu)}
        told = ", ".join(f".{name} = {value}" for name, value in layer.items())
        begin, end = f"{start.buffer} + {int(start.index)}", f"{out.buffer} + {layout.offset}"
        self.emit(f"products<Layer{{{told}}}>({begin}, {weights}, {biases}, {end});")
        return out

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
        return out.of_events(place)

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
        return str((*node.output, *self._taken)[-1])

    def is_output(self, name: str) -> bool:
        """Whether a tensor is what the network gives back."""
        return bool(name == self._wanted)

    def fill(self, out: Place, value: str) -> None:
        """Writes the same `value` everywhere."""
        self._write(out, value, [])

    def copy_into(self, out: Place, x: Place) -> None:
        """Writes x to where `out` lies."""
        expression, read = with_operands_inside(self._deferred, "{0}", [x])
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

    def loop(self, out: Place, operands: list[tuple[str, Affine]], statement: str) -> None:
        """`statement` for every element of `out`, {0}, … being the operands' at the same place."""
        layout = out.affine()
        assert layout is not None
        names = [out.buffer, *(name for name, _ in operands)]

        def filled(addresses: list[str]) -> str:
            elements = [f"{n}[{a}]" for n, a in zip(names, addresses, strict=True)]
            return statement.format(*elements[1:], out=elements[0])

        self.emit(loop_nest(out.shape, [layout, *(a for _, a in operands)], filled))

    def _write(self, out: Place, expression: str, operands: list[Place]) -> None:
        known = [(p.buffer, layout) for p in operands for layout in [p.affine()] if layout]
        assert len(known) == len(operands)
        self.loop(out, known, f"{{out}} = {expression};")


def as_events(place: Place) -> Place:
    """A tensor of one event as one whose first axis counts events."""
    return Place(place.buffer, place.index[None], 0)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
