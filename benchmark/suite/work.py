"""How much a network has to compute and to move for one event, counted from its ONNX graph."""

from dataclasses import dataclass
from math import prod

import onnx
from onnx import numpy_helper

from triggerforge.errors import ModelError

_BYTES = 4  # of a float32
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Work:
    """What one event takes at least."""

    multiply_adds: int
    """of Gemm, MatMul and Conv; taps on padding count, biases and activations do not"""
    input_bytes: int
    output_bytes: int
    weight_bytes: int
    """of all float constants; read once a call"""

    @property
    def flops(self) -> int:
        """Two for each multiply-add."""
        return 2 * self.multiply_adds

    def bytes_per_event(self, events: int) -> float:
        """Input, output, and its share of the weights in a call with so many events."""
        return self.input_bytes + self.output_bytes + self.weight_bytes / events


def count_work(model: onnx.ModelProto) -> Work:
    """The work of one event. Raises ModelError where a tensor's shape is not known."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    (given,), (wanted,) = single.graph.input, single.graph.output
    for value in (given, wanted):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del single.graph.value_info[:]  # they name the number of events by a letter
    inferred = onnx.shape_inference.infer_shapes(single, data_prop=True)
    shapes = _shapes(inferred.graph)
    weights = [numpy_helper.to_array(t) for t in single.graph.initializer]
    return Work(
        sum(_multiply_adds(node, shapes) for node in single.graph.node),
        _BYTES * prod(shapes[given.name]),
        _BYTES * prod(shapes[wanted.name]),
        sum(w.nbytes for w in weights if w.dtype.kind == "f"),
    )


def _shapes(graph: onnx.GraphProto) -> Shapes:
    values = (*graph.input, *graph.output, *graph.value_info)
    known: Shapes = {
        v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values
    }
    return known | {t.name: tuple(t.dims) for t in graph.initializer}


def _multiply_adds(node: onnx.NodeProto, shapes: Shapes) -> int:
    if node.op_type not in ("Gemm", "MatMul", "Conv"):
        return 0
    first, second = (_shape(node, name, shapes) for name in node.input[:2])
    outputs = prod(_shape(node, node.output[0], shapes))
    if node.op_type == "Conv":
        return outputs * prod(second[1:])
    transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return outputs * first[0 if transposed else -1]


def _shape(node: onnx.NodeProto, name: str, shapes: Shapes) -> tuple[int, ...]:
    shape = shapes.get(name, (0,))
    if 0 in shape:
        raise ModelError(
            f"{node.op_type} ({node.name}): the shape of {name!r} is not known, so its work cannot be "
            "counted; export the network again"
        )
    return shape
