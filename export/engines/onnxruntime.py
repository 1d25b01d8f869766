"""Stock onnxruntime, on one CPU thread or with one of its GPU providers."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.errors import ArtifactError, MissingToolError
from triggerforge.export.engines.fixed import FixedBatchRuntime
from triggerforge.export.runtime import inputs_on_grid

Provider = tuple[str, dict[str, str]]
_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}
_CPU: Provider = ("CPUExecutionProvider", {})
# with TF32 products of float32 keep 10 bits of their factors
_CUDA: Provider = ("CUDAExecutionProvider", {"use_tf32": "0"})
_TENSORRT: Provider = ("TensorrtExecutionProvider", {})
PROVIDERS: dict[str, tuple[Provider, ...]] = {
    "onnxruntime": (_CPU,),
    "onnxruntime-quantized": (_CPU,),
    "onnxruntime-cuda": (_CUDA, _CPU),
    "onnxruntime-tensorrt": (_TENSORRT, _CUDA, _CPU),
}
"""engine → providers, the one it is named after first; what it cannot do, the next one does"""


class OnnxRuntime(FixedBatchRuntime):
    """An exported ONNX file, run by the engine `name` of PROVIDERS.

    Its best settings for one event on one core: all graph optimisations, the memory arena, memory
    planned for a fixed number of events, one thread, which spins nowhere since there is none to wait
    for; IOBinding on the arrays' memory, and the session's core called without the Python method
    around it. `predict` copies into bound memory too: `InferenceSession.run` takes longer.

    Raises ArtifactError if the file is missing, damaged or not ours, MissingToolError where
    onnxruntime has no such provider.
    """

    def __init__(self, name: str, model: str, path: Path) -> None:
        self._providers = _available(name)
        self._proto = read_onnx(path)
        self.contract, self.classes = read_metadata(self._proto, path)
        made = session(self._proto, self._providers)
        kind, outputs = _ports(made, self.contract.shape, len(self.classes), path)
        super().__init__(name, self.contract.shape, outputs, kind)
        self.model = model
        self.device = "cpu" if self._providers == (_CPU,) else "cuda"

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs)."""
        return super().predict(inputs_on_grid(x, self.contract) if self.model == "quantized" else x)

    def build(self, events: int) -> Any:
        """A session."""
        return session(self._proto, self._providers, events)

    def place(self, network: Any, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], object]:
        """A run through IOBinding on the memory of x and y."""
        binding = network.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("logits", "cpu", 0, self._kind.type, y.shape, y.ctypes.data)
        run, bound = network._sess.run_with_iobinding, binding._iobinding

        def call(held: Any = (x, y, binding)) -> None:  # a binding holds no array alive
            run(bound, None)

        return call


def session(
    model: onnx.ModelProto, providers: Sequence[Provider] = (_CPU,), events: int | None = None
) -> Any:
    """An onnxruntime session on one thread, for a fixed number of events if one is given.

    Raises ArtifactError if onnxruntime refuses the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    axis = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    if events and axis:
        options.add_free_dimension_override_by_name(axis, events)
    names, settings = zip(*providers, strict=True)
    try:
        made = ort.InferenceSession(
            model.SerializeToString(), options, providers=names, provider_options=settings
        )
    except Exception as error:  # onnxruntime's exceptions have no public base class
        raise ArtifactError(f"onnxruntime refuses the model: {error}; export again") from error
    if made.get_providers()[0] != names[0]:  # it falls back to the CPU without an error
        raise MissingToolError(
            f"onnxruntime cannot start its {names[0]} here; it needs a GPU and the libraries that "
            "its documentation names for this version"
        )
    return made


def _ports(made: Any, shape: tuple[int, ...], classes: int, path: Path) -> tuple[Any, int]:
    """Type and number of the outputs; raises ArtifactError where the ports are not those of an export."""
    given = [(port.name, port.type, tuple(port.shape[1:])) for port in made.get_inputs()]
    left = [(port.name, port.type, tuple(port.shape[1:])) for port in made.get_outputs()]
    if given != [("x", "tensor(float)", shape)] or [port[2] for port in left] != [(classes,)]:
        raise ArtifactError(
            f"{path}: the network has the ports {given} and {left}; its contract says x of shape {shape} "
            f"and {classes} outputs; export again"
        )
    if left[0][0] != "logits" or left[0][1] not in _TYPES:
        raise ArtifactError(f"{path}: its outputs are {left[0]}; export again")
    return _TYPES[left[0][1]], classes


def _available(engine: str) -> tuple[Provider, ...]:
    """The engine's providers; raises MissingToolError unless onnxruntime was built with the first."""
    wanted = PROVIDERS[engine][0][0]
    found = ort.get_available_providers()
    if wanted not in found:
        raise MissingToolError(
            f"{engine}: this onnxruntime was built without {wanted} (it has {', '.join(found)}); on "
            "a machine with an NVIDIA GPU, pip install onnxruntime-gpu in its place"
        )
    if PROVIDERS[engine][0] is _TENSORRT:
        # the provider has no option for it; NVIDIA's libraries read this when they are loaded
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    return PROVIDERS[engine]
