"""The runtimes: one protocol, many engines, one registry.

An engine is made from an `EngineSource` by the factory that ENGINES holds under its name. What is
known of an engine before it is made, and the module that holds its factory, stands in
`triggerforge.known_engines`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import (
    MissingToolError,
    ModelError,
    ToolFailedError,
    UnsupportedOperationError,
)
from triggerforge.known_engines import KNOWN, Engine
from triggerforge.progress import say
from triggerforge.registry import Registry

if TYPE_CHECKING:  # onnxruntime alone needs neither Keras nor torch
    from triggerforge.compression.quantized_model import QuantizedModel
    from triggerforge.data.contract import InputContract
    from triggerforge.training.trained import TrainedModel


class Runtime(Protocol):
    """A network that can be asked for its outputs, by several threads at once.

    An engine that is known not to (`triggerforge.known_engines`) raises ModelError for the second thread.
    A call that `bind` gave belongs to one thread at a time, as do the arrays that it works on.
    """

    name: str
    """as registered"""
    model: str
    """"float" or "quantized" """

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Outputs (N, outputs) for x (N, *contract.shape), float32.

        Quantised engines put x on the contract's grid first (`inputs_on_grid`): `predict(x)` is
        `predict(contract.quantize(x))`. Raises ModelError for another shape or type, quantised engines
        DataError for NaN and inf.
        """

    def bind(self, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], None]:
        """A call that reads x and writes y, both kept and reused: the hot loop.

        y has the shape and type of `predict(x)`. Raises ModelError otherwise. A quantised engine's x
        must lie on the contract's grid when the call is made: it is not looked at, and of numbers off
        the grid each engine makes what it does by itself.
        """


@dataclass(frozen=True)
class EngineSource:
    """What engines are made from; an engine raises ModelError if its part is None."""

    trained: "TrainedModel | None" = None
    quantized: "QuantizedModel | None" = None
    export_folder: Path | None = None
    firmware_folder: Path | None = None


EngineFactory = Callable[[EngineSource], Runtime]


class EngineRegistry(Registry[EngineFactory]):
    """Factories by name; one that is known comes with the module that it stands in."""

    def register(
        self, name: str, known: Engine | None = None
    ) -> Callable[[EngineFactory], EngineFactory]:
        """See Registry. `known`: for an engine of your own, what it is, so that YAML can name it."""
        if known is not None:
            KNOWN.register(name)(known)
        return super().register(name)

    def __getitem__(self, name: str) -> EngineFactory:
        if name not in self._entries and name in KNOWN:
            import_module(KNOWN[name].module)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> dict[str, None]:
        return dict.fromkeys([*KNOWN, *self._entries])


ENGINES = EngineRegistry("engine")


def first_engine(names: Sequence[str], source: EngineSource) -> Runtime:
    """The first of `names` that can run here; the log says of every other why it cannot.

    Passed over is what lacks a tool or package, whose tool fails, or that has no such operation; the
    last one's error is raised. Raises RegistryError for a name that no engine has.
    """
    factories = [ENGINES[name] for name in names]
    for name, factory in zip(names[:-1], factories, strict=False):
        try:
            return factory(source)
        except (MissingToolError, ToolFailedError, UnsupportedOperationError) as error:
            say(f"warning: engine {name} cannot run here, the next is asked: {error}")
    return factories[-1](source)


def require_inputs(x: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """x, contiguous; raises ModelError unless it is float32 (N, *shape)."""
    if not isinstance(x, np.ndarray) or x.dtype != np.float32 or x.shape[1:] != shape:
        found = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ModelError(
            f"inputs are {found}; the model takes float32 (N, {', '.join(map(str, shape))}): "
            "quantize with the input contract, or use x.astype(np.float32)"
        )
    return np.ascontiguousarray(x)


def inputs_on_grid(x: NDArray[Any], contract: "InputContract") -> NDArray[np.float32]:
    """What a quantised engine computes on: x, rounded as the contract says where it is off the grid.

    Raises ModelError unless x is float32 (N, *contract.shape), DataError for NaN and inf.
    """
    return contract.on_grid(require_inputs(x, contract.shape))


def require_buffers(
    x: NDArray[Any], y: NDArray[Any], shape: tuple[int, ...], outputs: int, dtype: Any
) -> None:
    """Raises ModelError unless x and y are arrays that a bound call can use in place."""
    require_inputs(x, shape)
    wanted = (len(x), outputs)
    if y.shape != wanted or y.dtype != dtype:
        raise ModelError(
            f"the output buffer is {y.dtype} {y.shape}; wanted is {np.dtype(dtype)} {wanted}"
        )
    if not (x.flags.c_contiguous and y.flags.c_contiguous):
        raise ModelError("a bound call works in place: give contiguous arrays for x and y")


def require_memory(
    x: NDArray[Any], y: NDArray[Any], shape: tuple[int, ...], outputs: int, dtype: Any
) -> None:
    """`require_buffers`, for an engine that is handed the arrays' memory itself."""
    require_buffers(x, y, shape, outputs, dtype)
    if not (x.flags.aligned and y.flags.aligned and y.flags.writeable):
        raise ModelError(
            "a bound call works in place: give aligned arrays, and one for y that can be written"
        )


def require_part(part: Any, what: str) -> Any:
    """`part`; raises ModelError if it is None."""
    if part is None:
        raise ModelError(f"this engine needs {what}, and there is none: its stage was not run")
    return part


@ENGINES.register("torch")
def _torch(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.torch import TorchRuntime

    return TorchRuntime(require_part(source.trained, "a trained model"))


@ENGINES.register("torch-compile")
def _torch_compile(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.torch_compile import TorchCompileRuntime

    return TorchCompileRuntime(require_part(source.trained, "a trained model"))


def _float_file(source: EngineSource) -> Path:
    from triggerforge.export.files import FLOAT_FILE

    path: Path = require_part(source.export_folder, "an export folder") / FLOAT_FILE
    if not path.is_file():  # a network that came as a quantised file
        require_part(source.trained, "a trained model")
    return path


def _register_float_onnx(name: str) -> None:
    @ENGINES.register(name)
    def _make(source: EngineSource) -> Runtime:
        from triggerforge.export.engines.onnxruntime import OnnxRuntime

        return OnnxRuntime(name, "float", _float_file(source))


for _name in ("onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt"):
    _register_float_onnx(_name)


@ENGINES.register("openvino")
def _openvino(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.openvino import OpenVinoRuntime

    return OpenVinoRuntime(_float_file(source))


@ENGINES.register("litert")
def _litert(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.litert import LiteRtRuntime

    return LiteRtRuntime(_float_file(source))


@ENGINES.register("onnxruntime-quantized")
def _onnxruntime_quantized(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.onnxruntime import OnnxRuntime
    from triggerforge.export.files import QUANTIZED_FILE

    folder = require_part(source.export_folder, "an export folder")
    return OnnxRuntime("onnxruntime-quantized", "quantized", folder / QUANTIZED_FILE)


@ENGINES.register("alir")
def _alir(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.alir import AlirRuntime

    return AlirRuntime(require_part(source.quantized, "a quantised model"))


@ENGINES.register("hgq2")
def _hgq2(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.hgq2 import Hgq2Runtime

    return Hgq2Runtime(require_part(source.quantized, "a quantised model"))


@ENGINES.register("native")
def _native(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.native import NativeRuntime

    return NativeRuntime(_float_file(source))


@ENGINES.register("native-int")
def _native_int(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.native_int import NativeIntRuntime

    return NativeIntRuntime(require_part(source.quantized, "a quantised model"))


@ENGINES.register("triton")
def _triton(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.triton import TritonRuntime

    return TritonRuntime(_float_file(source))


@ENGINES.register("torch-cuda-graph")
def _torch_cuda_graph(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.torch_cuda_graph import TorchCudaGraphRuntime

    return TorchCudaGraphRuntime(require_part(source.trained, "a trained model"))


@ENGINES.register("cuda-persistent")
def _cuda_persistent(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.cuda_persistent import PersistentRuntime

    return PersistentRuntime(_float_file(source))


@ENGINES.register("cuda-int")
def _cuda_int(source: EngineSource) -> Runtime:
    from triggerforge.export.engines.cuda_int import CudaIntRuntime

    return CudaIntRuntime(require_part(source.quantized, "a quantised model"))
