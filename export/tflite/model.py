"""A TFLite model that grows tensor by tensor and operation by operation, then becomes bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

_SCHEMA_VERSION = 3
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
}


class TfliteModel:
    """One graph of float32 tensors with constant shapes (schema version 3 of TensorFlow Lite)."""

    def __init__(self) -> None:
        self._buffers = [schema.BufferT()]  # the first is empty: no tensor's values
        self._codes: dict[int, int] = {}
        self._graph = schema.SubGraphT()
        self._graph.name = "main"
        self._graph.tensors, self._graph.operators = [], []

    def tensor(self, shape: Sequence[int], name: str = "") -> int:
        """A new tensor that an operation, or the caller of the model, fills; its number."""
        return self._add(shape, np.dtype(np.float32), 0, name)

    def constant(self, values: NDArray[Any]) -> int:
        """A new tensor with these values, float32 or int32; its number."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._add(values.shape, values.dtype, len(self._buffers) - 1, "")

    def operation(
        self,
        code: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: str = "",
        values: Mapping[str, Any] | None = None,
    ) -> int:
        """Adds the operation `code`, which gives a new tensor of `shape`; that tensor's number.

        `options` is the schema's table for it, e.g. "Conv2DOptions", `values` its fields.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, code))
        operator.inputs, operator.outputs = list(inputs), [self.tensor(shape)]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for key, value in (values or {}).items():
                setattr(operator.builtinOptions, key, value)
        self._graph.operators.append(operator)
        return int(operator.outputs[0])

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file's content."""
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        model = schema.ModelT()
        model.version = _SCHEMA_VERSION
        model.subgraphs, model.buffers = [self._graph], self._buffers
        model.operatorCodes = [_operator_code(code) for code in self._codes]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _add(self, shape: Sequence[int], kind: np.dtype[Any], buffer: int, name: str) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), _TYPES[kind], buffer
        tensor.name = name or f"t{len(self._graph.tensors)}"
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _code(self, code: int) -> int:
        return self._codes.setdefault(code, len(self._codes))


def _operator_code(code: int) -> Any:
    entry = schema.OperatorCodeT()
    entry.builtinCode = code
    entry.deprecatedBuiltinCode = min(code, 127)  # what readers before schema 3a look at
    entry.version = 1
    return entry
