"""LiteRT, the runtime of TFLite models, on one CPU thread with its XNNPACK delegate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.export.engines.fixed import Fixed, FixedBatchRuntime
from triggerforge.packages import require_package


class LiteRtRuntime(FixedBatchRuntime):
    """The float network of an exported ONNX file, rewritten for TFLite (`triggerforge.export.tflite`).

    Its best settings for one event on one core: an interpreter for each number of events, so that
    XNNPACK takes over the whole graph with fixed shapes; inputs and outputs copied by `memoryview`
    from and to the interpreter's own tensors, and the interpreter's core called without the Python
    method around it. Its newer interface, CompiledModel with buffers on the arrays' memory, was slower.

    Raises ArtifactError if the file is missing, damaged or not ours, UnsupportedOperationError for
    what has no form in TFLite here, MissingToolError without LiteRT.
    """

    def __init__(self, path: Path) -> None:
        self._interpreter = require_package("ai-edge-litert", "ai_edge_litert.interpreter")
        self._proto = read_onnx(path)
        contract, outputs = read_metadata(self._proto, path)
        super().__init__("litert", contract.shape, len(outputs), np.float32)
        self.fixed(1)  # what TFLite does not know is found now

    def build(self, events: int) -> Any:
        """An interpreter."""
        from triggerforge.export.tflite.graph import tflite_bytes

        content = tflite_bytes(self._proto, events)
        interpreter = self._interpreter.Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        return interpreter

    def own(self, events: int) -> Any:
        """Another interpreter: one has one input and one output, which calls would share."""
        return self.build(events)

    def make(self, events: int) -> Fixed:
        """The interpreter with its own tensors."""
        interpreter = self.build(events)
        return Fixed(interpreter, *_tensors(interpreter), interpreter._interpreter.Invoke)

    def place(self, network: Any, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], object]:
        """Copies in, computes, copies out: an interpreter cannot be given memory."""
        source, target = _bytes(x), _bytes(y)
        inputs, outputs = map(_bytes, _tensors(network))
        run = network._interpreter.Invoke

        def call() -> None:
            inputs[:] = source
            run()
            target[:] = outputs

        return call


def _tensors(interpreter: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Its input and its output, in its own memory, which the arrays keep alive."""
    (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
    return interpreter.tensor(x["index"])(), interpreter.tensor(y["index"])()


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).data.cast("B")
