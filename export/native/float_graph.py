"""An ONNX graph as C++ statements on the tensors of one event, in float32.

The statements know nothing of how many events are computed at once: a tensor's element is a `V`,
one number or a block of them. What a node does is written in `float_layers` and `float_dense`.
"""

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
from triggerforge.export.native.place import Affine, Place, laid_out_like, row_major

Handler = Callable[["FloatGraph", onnx.NodeProto], Place]
_HANDLERS: dict[str, Handler] = {}
_PADDING = 16
"""floats in the widest register: rows of weights and of outputs begin at multiples of it"""


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
    """One walk over an ONNX model whose first axis counts events."""

    engine = "native"
    """whose operations are meant, in error messages"""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        (given,), (wanted,) = graph.input, graph.output
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.where = ""
        """the node at hand, for error messages"""
        self._nodes = list(graph.node)
        self._taken: tuple[str, ...] = ()
        self._wanted = wanted.name
        readers: list[str] = [name for node in graph.node for name in node.input]
        self._readers = Counter([*readers, wanted.name])
        shape = tuple(int(d.dim_value) for d in given.type.tensor_type.shape.dim[1:])
        self._places = {given.name: row_major("in", shape)}
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
                raise self.unsupported(f"the {self.engine} engine has no such operation; {known}")
            place = _HANDLERS[node.op_type](self, node)
            self._places |= dict.fromkeys((node.output[0], *self._taken), place)
            self._taken = ()
        result = self._places[self._wanted]
        self._program.outputs = result.index.size
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
        shape = np.broadcast_shapes(*(p.shape for p in operands))
        spread = [Place(p.buffer, np.broadcast_to(p.index, shape)) for p in operands]
        strided = [self.strided(p) for p in spread]
        like = max(strided, key=lambda pair: sum(s != 0 for s in pair[1].strides))[1]
        out = self.new(shape, like)
        self._loop(out, [(p.buffer, a) for p, a in strided], f"{{out}} = {expression};")
        return out

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
        self._loop(spread, [(x.buffer, turned)], f"{{out}} = {expression};", outer=len(axes))
        return out

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
        return out

    def products(
        self,
        node: onnx.NodeProto,
        start: Place,
        taps: NDArray[Any],
        bias: NDArray[Any],
        layer: dict[str, int],
    ) -> Place:
        """x times weights `taps` (ky, kx, in, out) -> (oy, ox, out), and a ReLU that follows.

        x[oy, ox, ky, kx, in] lies at `start` and in steps of `layer`: y_step, x_step, y_tap, x_tap, c_tap.
        """
        width = taps.shape[-1]
        whole = -(-width // _PADDING) * _PADDING
        ends = [(0, 0)] * (taps.ndim - 1) + [(0, whole - width)]
        weights = self.stored(np.pad(taps, ends).astype(np.float32))
        biases = self.stored(np.pad(bias, (0, whole - width)).astype(np.float32))
        out = self.padded((layer["oy"], layer["ox"]), width, whole)
        layer = layer | {"ci": taps.shape[2], "co": width, "padded": whole}
        layer["relu"] = int(self.takes_relu(node))
        told = ", ".join(f".{name} = {value}" for name, value in layer.items())
        begin = f"{start.buffer} + {int(start.index)}"
        self.emit(f"products<Layer{{{told}}}>({begin}, {weights}, {biases}, {out.buffer});")
        return out

    def takes_relu(self, node: onnx.NodeProto) -> bool:
        """Whether nobody but a ReLU reads the node: its handler applies it then, and has its place."""
        (name,) = node.output
        reader = next((n for n in self._nodes if name in n.input), None)
        if self._readers[name] != 1 or reader is None or reader.op_type != "Relu":
            return False
        self._taken = (reader.output[0],)
        return True

    def filled(self, shape: Sequence[int], like: Affine, value: str) -> Place:
        """A new tensor with the same `value` everywhere."""
        out = self.new(shape, like)
        self._loop(out, [], f"{{out}} = {value};")
        return out

    def copy_into(self, out: Place, x: Place) -> None:
        """Writes x to where `out` lies."""
        layout = x.affine()
        if layout is not None:
            self._loop(out, [(x.buffer, layout)], "{out} = {0};")
            return
        addresses = Place(
            self.stored(x.index.astype(np.int32)), np.arange(x.index.size).reshape(x.shape)
        )
        known = addresses.affine()
        assert known is not None
        self._loop(out, [(addresses.buffer, known)], f"{{out}} = {x.buffer}[{{0}}];")

    def _loop(
        self, out: Place, operands: list[tuple[str, Affine]], statement: str, outer: int = 0
    ) -> None:
        layout = out.affine()
        assert layout is not None
        names = [out.buffer, *(name for name, _ in operands)]

        def filled(addresses: list[str]) -> str:
            elements = [f"{n}[{a}]" for n, a in zip(names, addresses, strict=True)]
            return statement.format(*elements[1:], out=elements[0])

        self.emit(loop_nest(out.shape, [layout, *(a for _, a in operands)], filled, outer))


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
