"""An ONNX graph as C++ statements on the tensors of one event, in float32.

The statements know nothing of how many events are computed at once: a tensor's element is a `V`,
one number or a block of them. Truth values are 0 and 1, and integers are floats too: exact up to
2^24. What a node does is written in the modules beside this one, operator by operator.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from triggerforge.errors import UnsupportedOperationError, did_you_mean
from triggerforge.export.native.float_settle import EVENTS, settle
from triggerforge.export.native.loops import loop_nest
from triggerforge.export.native.place import Affine, Place, laid_out_like, row_major

Handler = Callable[["FloatGraph", onnx.NodeProto], Place | Sequence[Place]]
_HANDLERS: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """A decorator: the function writes the ONNX operators of these names."""

    def store(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return store


@dataclass
class FloatProgram:
    """C++ for one graph."""

    inputs: int
    outputs: int = 0
    statements: list[str] = field(default_factory=list)
    buffers: dict[str, int] = field(default_factory=dict)
    """name -> elements, of every tensor that is computed"""
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    """name -> weights (float32) or addresses (int32), flat"""


class FloatGraph:
    """One walk over an ONNX model; the first axis of its input and of its output counts events."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        (given,), (wanted,) = graph.input, graph.output
        settled = settle(model)
        self.constants, self._kinds = settled.constants, settled.kinds
        self.where = "the graph"
        """the node at hand, for error messages"""
        self._nodes = settled.nodes
        self._taken: tuple[str, ...] = ()
        self._wanted = wanted.name
        readers: list[str] = [name for node in self._nodes for name in node.input]
        self._readers = Counter([*readers, wanted.name])
        shape = tuple(int(d.dim_value) for d in given.type.tensor_type.shape.dim[1:])
        self._places = {given.name: as_events(row_major("in", shape))}
        self._program = FloatProgram(int(np.prod(shape)))

    def write(self) -> FloatProgram:
        """The statements of all nodes.

        Raises UnsupportedOperationError for an operator, or a use of one, that it does not know.
        """
        for node in self._nodes:
            if node.output[0] in self._places:  # a ReLU that its layer has taken along
                continue
            self.where = f"{node.op_type} ({node.name})"
            if node.op_type not in _HANDLERS:
                known = did_you_mean(node.op_type, _HANDLERS)
                raise self.unsupported(f"the native engine has no such operation; {known}")
            found = _HANDLERS[node.op_type](self, node)
            places = [found] if isinstance(found, Place) else found
            if not all(place.index.size for place in places):
                raise self.unsupported("a tensor without elements")
            self._places |= dict(zip(node.output, places, strict=False))
            self._places |= dict.fromkeys(self._taken, places[0])
            self._taken = ()
        self.where = f"the output {self._wanted}"
        result = self.one_event(self._wanted)
        self._program.outputs = result.index.size
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

    def new(self, shape: Sequence[int], like: Affine | None = None) -> Place:
        """A buffer for a tensor, its axes in the order in which those of `like` lie."""
        place = laid_out_like(f"t{len(self._program.buffers)}", tuple(shape), like)
        self._program.buffers[place.buffer] = place.index.size
        return place

    def padded(self, rows: Sequence[int], length: int, padded: int) -> Place:
        """A buffer for `rows` of `length` elements that lie `padded` apart."""
        whole = self.new((*rows, padded))
        return Place(whole.buffer, whole.index[..., :length])

    def emit(self, statement: str) -> None:
        """Adds C++ to the program."""
        self._program.statements.append(statement)

    def elementwise(self, expression: str, *operands: Place) -> Place:
        """`expression`, in which {0}, {1}, … are the operands' elements, for every element."""
        shape = self.broadcast(*(p.shape for p in operands))
        spread = [Place(p.buffer, np.broadcast_to(p.index, shape)) for p in operands]
        strided = [self.strided(p) for p in spread]
        like = max(strided, key=lambda pair: sum(s != 0 for s in pair[1].strides))[1]
        out = self.new(shape, like)
        self.loop(out, [(p.buffer, a) for p, a in strided], f"{{out}} = {expression};")
        return Place(out.buffer, out.index, *self.common(shape, operands))

    def broadcast(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that all of them have after broadcasting."""
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError as error:
            raise self.unsupported(f"shapes {shapes} of one event do not fit") from error

    def reduce(self, x: Place, axes: Sequence[int], start: str, expression: str) -> Place:
        """Over `axes`, {out} is first `start`, then `expression` of {out} and {0} again and again.

        The axes stay, with length 1.
        """
        x, layout = self.strided(x)
        kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        strides = tuple(0 if a in axes else s for a, s in enumerate(layout.strides))
        out = self.filled(kept, Affine(0, strides), start)
        order = [*axes, *(a for a in range(len(kept)) if a not in axes)]
        spread = Place(out.buffer, np.broadcast_to(out.index, x.shape).transpose(order))
        turned = Affine(layout.offset, tuple(layout.strides[a] for a in order))
        self.loop(spread, [(x.buffer, turned)], f"{{out}} = {expression};", outer=len(axes))
        return out.of_events(x)

    def contract(self, first: Place, second: Place, axes: int, start: Place | None = None) -> Place:
        """Products of two tensors that are broadcast together, summed over the last `axes` axes.

        Sums begin with `start`, or with 0.
        """
        shape = self.broadcast(first.shape, second.shape)
        rank = len(shape) - axes
        out = self.new(shape[:rank])
        if start is None:
            self.loop(out, [], "{out} = V();")
        else:
            self.copy_into(out, Place(start.buffer, np.broadcast_to(start.index, out.shape)))
        order = [*range(rank, len(shape)), *range(rank)]
        spread = np.broadcast_to(out.index[(..., *[None] * axes)], shape).transpose(order)
        operands = []
        for p in (first, second):
            wide, layout = self.strided(p.at(np.broadcast_to(p.index, shape)))
            operands.append(
                (wide.buffer, Affine(layout.offset, tuple(layout.strides[a] for a in order)))
            )
        self.loop(Place(out.buffer, spread), operands, "{out} = {out} + {0} * {1};", outer=axes)
        return Place(out.buffer, out.index, *self.common(shape, (first, second)))

    def strided(self, place: Place) -> tuple[Place, Affine]:
        """The tensor with its layout, copied first if its elements lie in no regular order."""
        layout = place.affine()
        if layout is None:
            place = self.copied(place)
            layout = place.affine()
        assert layout is not None
        return place, layout

    def copied(self, place: Place) -> Place:
        """The tensor in a buffer of its own, its last axis first."""
        out = self.new(place.shape)
        self.copy_into(out, place)
        return out.of_events(place)

    def takes_relu(self, node: onnx.NodeProto) -> bool:
        """Whether nobody but a ReLU reads the node: its handler applies it then, and has its place."""
        if len(node.output) != 1:
            return False
        (name,) = node.output
        reader = next((n for n in self._nodes if name in n.input), None)
        if self._readers[name] != 1 or reader is None or reader.op_type != "Relu":
            return False
        self._taken = (reader.output[0],)
        return True

    def filled(self, shape: Sequence[int], like: Affine, value: str) -> Place:
        """A new tensor with the same `value` everywhere."""
        out = self.new(shape, like)
        self.loop(out, [], f"{{out}} = {value};")
        return out

    def copy_into(self, out: Place, x: Place) -> None:
        """Writes x to where `out` lies."""
        layout = x.affine()
        if layout is not None:
            self.loop(out, [(x.buffer, layout)], "{out} = {0};")
            return
        addresses = Place(
            self.stored(x.index.astype(np.int32)), np.arange(x.index.size).reshape(x.shape)
        )
        known = addresses.affine()
        assert known is not None
        self.loop(out, [(addresses.buffer, known)], f"{{out}} = {x.buffer}[{{0}}];")

    def loop(
        self, out: Place, operands: list[tuple[str, Affine]], statement: str, outer: int = 0
    ) -> None:
        """`statement` for every element of `out`, {0}, … being the operands' at the same place.

        The first `outer` axes stay outside of all others.
        """
        layout = out.affine()
        assert layout is not None
        names = [out.buffer, *(name for name, _ in operands)]

        def filled(addresses: list[str]) -> str:
            elements = [f"{n}[{a}]" for n, a in zip(names, addresses, strict=True)]
            return statement.format(*elements[1:], out=elements[0])

        self.emit(loop_nest(out.shape, [layout, *(a for _, a in operands)], filled, outer))


def as_events(place: Place) -> Place:
    """A tensor of one event as one whose first axis counts events."""
    return Place(place.buffer, place.index[None], 0)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
