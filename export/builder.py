"""An ONNX graph under construction: nodes, constants without repetition, unique names."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9
QONNX_DOMAIN = "qonnx.custom_op.general"


class GraphBuilder:
    """Collects nodes in order; `model` gives the whole."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[onnx.TensorProto] = []
        self._counts: dict[str, int] = {}

    def unique(self, stem: str) -> str:
        """`stem`, or `stem_1`, `stem_2`… once it is taken."""
        number = self._counts.get(stem, 0)
        self._counts[stem] = number + 1
        return f"{stem}_{number}" if number else stem

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Appends a node of one output and gives back that output's name."""
        output = self.unique(operator.lower())
        self._nodes.append(
            helper.make_node(
                operator, list(inputs), [output], name=output, domain=domain, **attributes
            )
        )
        return output

    def rename(self, value: str, name: str) -> None:
        """An Identity that gives `value` the name `name` of a graph output."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=f"to_{name}"))

    def constant(self, values: NDArray[Any], stem: str = "constant") -> str:
        """The name of an initializer that holds `values`; equal ones are stored once."""
        array = np.ascontiguousarray(values)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self.unique(stem)
            self._constants[key] = name
            self._initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def model(
        self,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        output_type: Any,
        metadata: dict[str, str],
        batch: str | int = "batch",
    ) -> onnx.ModelProto:
        """The checked model: input `x` float32 (batch, *input_shape), output `logits`.

        Raises onnx.checker.ValidationError if the graph is not valid.
        """
        element = helper.np_dtype_to_tensor_dtype(np.dtype(output_type))
        graph = helper.make_graph(
            self._nodes,
            "triggerforge",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *input_shape])],
            [helper.make_tensor_value_info("logits", element, [batch, *output_shape])],
            initializer=self._initializers,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if any(n.domain == QONNX_DOMAIN for n in self._nodes):
            opsets.append(helper.make_opsetid(QONNX_DOMAIN, 1))
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="triggerforge"
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        return model
