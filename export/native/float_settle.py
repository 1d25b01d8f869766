"""What in an ONNX graph is the same for every event: shapes, and all that comes from constants.

Shapes are computed as if there were `EVENTS` events, a prime that no other length is a multiple
of: a length that is one counts events.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from triggerforge.errors import UnsupportedOperationError

EVENTS = 10007
_SMALL = 10_000
"""elements of a constant whose values may decide on a shape"""
Constants = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Settled:
    """A graph whose nodes all depend on the event."""

    nodes: list[onnx.NodeProto]
    constants: Constants
    kinds: dict[str, int]
    """name -> ONNX element type, of the tensors whose type is known"""


def settle(model: onnx.ModelProto) -> Settled:
    """The nodes that depend on the event and are needed, and the values of all constants."""
    graph = model.graph
    constants: Constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    types = {v.name: _with_events(v) for v in graph.input}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        shape = _shape(types.get(node.input[0])) if node.op_type == "Shape" else None
        if shape is not None:
            told = {a.name: a.i for a in node.attribute}
            part = shape[told.get("start", 0) : told.get("end", len(shape))]
            constants[node.output[0]] = np.array(part, np.int64)
        elif all(name in constants for name in node.input if name):
            constants |= _evaluated(model, node, constants)
        else:
            types |= _inferred(model, node, types, constants)
            nodes.append(node)
    nodes = [own for node in nodes for own in _own_elements(node, nodes, constants)]
    kinds = {name: value.type.tensor_type.elem_type for name, value in types.items()}
    return Settled(_needed(nodes, {v.name for v in graph.output}), constants, kinds)


def _with_events(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    shape = [d.dim_value for d in value.type.tensor_type.shape.dim[1:]]
    return helper.make_tensor_value_info(
        value.name, value.type.tensor_type.elem_type, [EVENTS, *shape]
    )


def _shape(value: onnx.ValueInfoProto | None) -> list[int] | None:
    if value is None or not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return [d.dim_value for d in dims] if all(d.HasField("dim_value") for d in dims) else None


def _alone(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    inputs: list[onnx.ValueInfoProto],
    constants: list[TensorProto],
) -> onnx.ModelProto:
    """A model of one node."""
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", inputs, outputs, constants)
    return helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version or 10
    )


def _evaluated(model: onnx.ModelProto, node: onnx.NodeProto, constants: Constants) -> Constants:
    names = dict.fromkeys(name for name in node.input if name)
    tensors = [numpy_helper.from_array(np.asarray(constants[n]), n) for n in names]
    try:
        with np.errstate(all="ignore"):  # inf and NaN are constants like others
            values = ReferenceEvaluator(_alone(model, node, [], tensors)).run(None, {})
    except Exception as error:  # the evaluator's own errors are of any kind
        raise UnsupportedOperationError(
            f"{node.op_type} ({node.name}) of constants cannot be computed: {error}"
        ) from error
    return dict(zip((n for n in node.output if n), map(np.asarray, values), strict=True))


def _inferred(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    types: dict[str, onnx.ValueInfoProto],
    constants: Constants,
) -> dict[str, onnx.ValueInfoProto]:
    inputs, tensors = [], []
    for name in dict.fromkeys(node.input):
        if name in types:
            inputs.append(types[name])
        elif name in constants and constants[name].size <= _SMALL:
            tensors.append(numpy_helper.from_array(np.asarray(constants[name]), name))
        elif name in constants:
            kind = helper.np_dtype_to_tensor_dtype(constants[name].dtype)
            inputs.append(helper.make_tensor_value_info(name, kind, constants[name].shape))
    try:
        found = onnx.shape_inference.infer_shapes(_alone(model, node, inputs, tensors))
    except onnx.shape_inference.InferenceError:  # the node's handler says what is wrong with it
        return {}
    return {v.name: v for v in found.graph.output if v.type.HasField("tensor_type")}


def _own_elements(
    node: onnx.NodeProto, nodes: list[onnx.NodeProto], constants: Constants
) -> list[onnx.NodeProto]:
    """A GatherND of elements of the event itself, where indices name the event only as they must.

    torch writes x[event, i] with (event, i) for all events; ParticleNet puts all events' particles
    behind each other, and adds the number of those in front to an index.
    """
    if node.op_type != "GatherND" or any(a.name == "batch_dims" and a.i for a in node.attribute):
        return [node]
    maker = {name: n for n in nodes for name in n.output}
    told: dict[str, Any]
    chain = [maker[node.input[1]]] if node.input[1] in maker else []
    while chain and chain[-1].op_type in ("Reshape", "Unsqueeze") and chain[-1].input[0] in maker:
        chain.append(maker[chain[-1].input[0]])
    if not chain or chain[-1].op_type not in ("Add", "Concat") or len(chain[-1].input) != 2:
        return [node]
    last = chain.pop()
    numbered = [_step(constants.get(name)) for name in last.input]
    if last.op_type == "Concat" and not chain and numbered[0] == 1:
        told = {"batch_dims": 1}
        own = last.input[1]
    elif last.op_type == "Add" and any(numbered):
        told = {"rows_of_event": max(numbered)}
        own = last.input[numbered.index(0)]
    else:
        return [node]
    copies = []
    for link in reversed(chain):
        copy = onnx.NodeProto()
        copy.CopyFrom(link)
        copy.input[0], copy.output[0] = own, f"{link.output[0]} of the event"
        own = copy.output[0]
        copies.append(copy)
    return [
        *copies,
        helper.make_node("GatherND", [node.input[0], own], node.output, node.name, **told),
    ]


def _step(numbers: NDArray[Any] | None) -> int:
    """c where a constant is c · event along its first axis; 0 where it is no such constant."""
    if numbers is None or numbers.shape[:1] != (EVENTS,) or numbers.dtype.kind != "i":
        return 0
    step = int(numbers[1].ravel()[0])
    own = np.arange(EVENTS).reshape(-1, *[1] * (numbers.ndim - 1)) * step
    return step if (numbers == own).all() else 0


def _needed(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted = wanted | set(node.input)
            kept.append(node)
    return kept[::-1]
