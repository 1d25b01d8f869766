"""From a Keras model with HGQ2 layers to an ONNX graph, layer by layer."""

from collections import Counter
from typing import Any

import numpy as np
import onnx

import triggerforge.export.layers.conv
import triggerforge.export.layers.pool
import triggerforge.export.layers.shape
import triggerforge.export.layers.table  # noqa: F401
from triggerforge.compression.backend import keras
from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError
from triggerforge.export.grid import Grid
from triggerforge.export.handlers import lower_call
from triggerforge.export.layers.shape import reshaped
from triggerforge.export.lowering import Lowering
from triggerforge.export.tensor import Stored, Tensor


def write_graph(
    context: Lowering,
    model: Any,
    contract: InputContract,
    metadata: dict[str, str],
    batch: str | int = "batch",
) -> onnx.ModelProto:
    """The ONNX model of a Keras model, whose inputs lie on the contract's grid.

    Raises ModelError if the model's input is not the contract's, UnsupportedOperationError for a
    layer without an exact form.
    """
    shapes = [tuple(i.shape[1:]) for i in model.inputs]
    if shapes != [contract.shape] or len(model.outputs) != 1:
        raise ModelError(
            f"a model of inputs {shapes} and {len(model.outputs)} outputs; the contract says one "
            f"input of shape {contract.shape}, and one output is exported"
        )
    x = Tensor(input_grid(contract), "input", Stored("x", np.float32))
    out = lower_model(context, model, x)
    out = reshaped(context, out, (int(np.prod(out.shape)),))
    final = out.values(context.graph, np.ones(()))
    context.graph.rename(final.name, "logits")
    return context.graph.model(contract.shape, out.shape, final.dtype, metadata, batch)


def input_grid(contract: InputContract) -> Grid:
    """The values that the input port can carry, for each element of an event."""
    ends = np.array([f.format.range for f in contract.features])
    fraction = np.array([f.format.fraction for f in contract.features])
    shape = contract.shape
    return Grid.of(*(np.broadcast_to(v, shape) for v in (ends[:, 0], ends[:, 1], fraction)))


def lower_model(context: Lowering, model: Any, x: Tensor) -> Tensor:
    """The output of `model` for input x; nested models are entered."""
    network = model._functional if isinstance(model, keras.Sequential) else model
    steps = [
        node
        for depth in sorted(network._nodes_by_depth, reverse=True)
        for node in network._nodes_by_depth[depth]
        if type(node.operation).__name__ != "InputLayer"
    ]
    readers = Counter(t.name for node in steps for t in node.arguments.keras_tensors)
    readers.update(t.name for t in network.outputs)
    known = {network.inputs[0].name: x}
    for node in steps:
        out = _step(context, node, known)
        (produced,) = node.outputs
        shared = readers[produced.name] > 1
        known[produced.name] = out.settled(context.graph) if shared else out
    return known[network.outputs[0].name]


def _step(context: Lowering, node: Any, known: dict[str, Tensor]) -> Tensor:
    arguments, options = _filled((node.arguments.args, node.arguments.kwargs), known)
    options = {k: v for k, v in options.items() if v is not None and k != "training"}
    if isinstance(node.operation, keras.Model):
        return lower_model(context, node.operation, arguments[0])
    first, *others = arguments
    if others and all(isinstance(o, Tensor) for o in others):
        first, others = [first, *others], []
    options.update(zip(("key",), others, strict=False))
    return lower_call(context, node.operation, first, options)


def _filled(argument: Any, known: dict[str, Tensor]) -> Any:
    """`argument` with every Keras tensor in it replaced by what it stands for."""
    if isinstance(argument, keras.KerasTensor):
        return known[argument.name]
    if isinstance(argument, (list, tuple)):
        return type(argument)(_filled(a, known) for a in argument)
    if isinstance(argument, dict):
        return {k: _filled(v, known) for k, v in argument.items()}
    return argument
