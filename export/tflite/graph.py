"""One walk over an ONNX graph that writes it as TFLite operations, for a fixed number of events.

ONNX has channels first, TFLite's kernels want them last. So a tensor knows in which order its axes
are stored: a transposition only renames them, and is written where an operation needs another order.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from triggerforge.errors import UnsupportedOperationError, did_you_mean
from triggerforge.export.tflite.model import TfliteModel

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Stored:
    """A tensor of the model, as ONNX sees it."""

    tensor: int
    """its number in the TFLite model"""
    extent: tuple[int, ...]
    """lengths of the axes in the order in which they are stored; events come first"""
    axes: Axes
    """ONNX axis → stored axis"""
    columns: NDArray[np.intp] | None = None
    """of a flat tensor whose elements lie in another order: ONNX column → stored column"""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in ONNX."""
        return tuple(self.extent[a] for a in self.axes)


Handler = Callable[["TfliteGraph", onnx.NodeProto], Stored]
_HANDLERS: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """A decorator: the function writes the ONNX operators of these names."""

    def store(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return store


def tflite_bytes(proto: onnx.ModelProto, events: int) -> bytes:
    """The TFLite model of an ONNX model with one input and one output whose first axis counts events.

    Raises UnsupportedOperationError for an operator, or a use of one, that has no form here.
    """
    import triggerforge.export.tflite.layers  # noqa: F401  registers the handlers

    return TfliteGraph(proto, events).write()


class TfliteGraph:
    """What the handlers write to."""

    def __init__(self, proto: onnx.ModelProto, events: int) -> None:
        (given,), (wanted,) = proto.graph.input, proto.graph.output
        self.model = TfliteModel()
        self.constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
        self._where = ""
        self._nodes = list(proto.graph.node)
        self._wanted = wanted.name
        names: list[str] = [name for node in self._nodes for name in node.input]
        self._readers = Counter([*names, wanted.name])
        shape = (events, *(d.dim_value for d in given.type.tensor_type.shape.dim[1:]))
        self._input = self.model.tensor(shape, given.name)
        self._values = {given.name: plain(self._input, shape)}

    def write(self) -> bytes:
        """The whole model."""
        for node in self._nodes:
            if node.output[0] in self._values:  # a ReLU that its layer has taken along
                continue
            self._where = f"{node.op_type} ({node.name})"
            if node.op_type not in _HANDLERS:
                known = did_you_mean(node.op_type, _HANDLERS)
                raise self.unsupported(f"there is no TFLite form of it here; {known}")
            value = _HANDLERS[node.op_type](self, node)
            self._values[node.output[0]] = value
        result = self.in_order(self._values[self._wanted])
        return self.model.finish([self._input], [result.tensor])

    def unsupported(self, what: str) -> UnsupportedOperationError:
        """The error to raise for something about the node at hand."""
        return UnsupportedOperationError(f"{self._where}: {what}; use another engine")

    def value(self, name: str) -> Stored:
        """A tensor that depends on the event."""
        if name not in self._values:
            raise self.unsupported("it computes with constants only")
        return self._values[name]

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that read `name`."""
        return [node for node in self._nodes if name in node.input]

    def activation(self, node: onnx.NodeProto) -> tuple[int, Callable[[Stored], Stored]]:
        """The schema's number of the activation that the node may apply itself, and what notes it.

        1 where nobody but a ReLU reads the node, else 0.
        """
        (name,) = node.output
        readers = self.readers(name)
        if self._readers[name] != 1 or not readers or readers[0].op_type != "Relu":
            return 0, lambda value: value

        def note(value: Stored) -> Stored:
            self._values[readers[0].output[0]] = value
            return value

        return 1, note

    def in_order(self, value: Stored) -> Stored:
        """The tensor stored in the order of its ONNX axes."""
        return self.arranged(value, tuple(range(len(value.axes))))

    def arranged(self, value: Stored, axes: Axes) -> Stored:
        """The tensor with its axes stored as `axes` says (ONNX axis → stored axis)."""
        if value.axes == axes:
            return value
        order = [value.axes[axes.index(place)] for place in range(len(axes))]
        extent = tuple(value.extent[a] for a in order)
        moved = [a for a in order if value.extent[a] != 1]
        if moved == sorted(moved):  # only axes of length 1 move
            return Stored(self.reshaped(value.tensor, extent), extent, axes)
        turns = self.model.constant(np.array(order, np.int32))
        tensor = self.model.operation("TRANSPOSE", [value.tensor, turns], extent)
        return Stored(tensor, extent, axes)

    def reshaped(self, tensor: int, shape: Sequence[int]) -> int:
        """The same elements in another shape."""
        wanted = self.model.constant(np.array(shape, np.int32))
        return self.model.operation("RESHAPE", [tensor, wanted], shape)

    def like(self, value: Stored, code: str, options: str = "", **values: Any) -> Stored:
        """An operation of one tensor on each element."""
        tensor = self.model.operation(code, [value.tensor], value.extent, options, values)
        return replace(value, tensor=tensor)

    def axis(self, axis: int, value: Stored) -> int:
        """An axis, counted from the front; raises UnsupportedOperationError for that of the events."""
        counted = axis % len(value.axes)
        if counted == 0:
            raise self.unsupported("it runs over the axis that counts events")
        return counted


def plain(tensor: int, shape: Sequence[int]) -> Stored:
    """A tensor stored as ONNX has it."""
    return Stored(tensor, tuple(shape), tuple(range(len(shape))))
