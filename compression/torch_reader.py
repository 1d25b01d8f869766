"""A torch module as the neutral graph.

`torch.fx` records what the module does; a run on a few events gives every shape and every constant.
"""

import inspect
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from triggerforge.compression import torch_functions, torch_modules  # noqa: F401 (they register)
from triggerforge.compression.converters import (
    EVENTS,
    FUNCTIONS,
    MODULES,
    Converter,
    Reader,
    Symbol,
)
from triggerforge.compression.evaluation import evaluation_mode
from triggerforge.compression.graph import Graph
from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError
from triggerforge.registry import Registry


def read_torch(module: nn.Module, contract: InputContract) -> Graph:
    """The neutral graph of `module`, called with x (N, *contract.shape) in eval mode.

    Raises UnsupportedOperationError for an operation without a fixed-point form, ModelError where
    the module cannot be traced or does not take such inputs.
    """
    traced, values = _run_traced(module, contract)
    reader = Reader()
    known: dict[fx.Node, Any] = {}
    for node in traced.graph.nodes:
        if node.op == "output":
            result = known[node.args[0]] if isinstance(node.args[0], fx.Node) else node.args[0]
            if not isinstance(result, Symbol):
                raise ModelError(
                    f"the module gives back {type(result).__name__}, not one tensor computed from "
                    "its input; return the logits (N, classes) only"
                )
            reader.graph.output = result.name
        else:
            known[node] = _convert(reader, traced, node, values[node], known)
    return reader.graph


def _run_traced(
    module: nn.Module, contract: InputContract
) -> tuple[fx.GraphModule, dict[fx.Node, Any]]:
    """The traced module, and what every node gave for a few events."""
    _require_finite(module)
    parameter = next(module.parameters(), None)
    device = "cpu" if parameter is None else parameter.device
    x = torch.rand(EVENTS, *contract.shape, device=device)
    with evaluation_mode(module):
        try:
            leaf = fx.Tracer().is_leaf_module(module, "")
            traced = fx.symbolic_trace(nn.Sequential(module) if leaf else module)
        except Exception as error:
            raise ModelError(
                f"torch.fx cannot trace {type(module).__name__}: {error}; forward(x) must not "
                "branch on the values of x"
            ) from error
        recorder = _Recorder(traced)
        try:
            with torch.no_grad():
                recorder.run(x)
        except Exception as error:
            raise ModelError(
                f"{type(module).__name__} does not take inputs of shape (N, "
                f"{', '.join(map(str, contract.shape))}): {str(error).splitlines()[0]}"
            ) from error
    return traced, recorder.values


def _require_finite(module: nn.Module) -> None:
    for name, value in module.state_dict().items():
        if isinstance(value, torch.Tensor) and not torch.isfinite(value).all():
            raise ModelError(
                f"{type(module).__name__}: {name} holds NaN or inf, which no fixed-point number can; "
                "train again with a lower learning rate, or mask with a large finite number"
            )


class _Recorder(fx.Interpreter):
    """Runs the graph and keeps what every node gave."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]


def _convert(
    reader: Reader, traced: fx.GraphModule, node: fx.Node, value: Any, known: dict[fx.Node, Any]
) -> Any:
    args = fx.map_arg(node.args, known.__getitem__)
    kwargs = fx.map_arg(node.kwargs, known.__getitem__)
    reader.shape = tuple(value.shape[1:]) if isinstance(value, torch.Tensor) else ()
    reader.path = _module_path(node)
    if node.op == "placeholder":
        if reader.graph.layers:
            return value  # an argument of forward that keeps its default
        reader.path = "input"
        return reader.add("input")
    symbols = [s for s in _flat([args, kwargs]) if isinstance(s, Symbol)]
    if node.op == "get_attr" or not symbols or not _holds_tensor(value):
        return _constant(value) if isinstance(value, torch.Tensor) else value
    if isinstance(value, torch.Tensor) and 0 in value.shape:
        raise reader.unsupported("gives a tensor without elements", "a slice that holds some")
    if node.op == "call_module":
        target = traced.get_submodule(str(node.target))
        reader.what = type(target).__name__
        result = _call(reader, MODULES, reader.what, (target, *args), kwargs)
    else:
        reader.what = str(getattr(node.target, "__name__", node.target)).rstrip("_")
        result = _call(reader, FUNCTIONS, reader.what, args, kwargs)
    if isinstance(value, torch.Tensor) and value.shape[:1] != (EVENTS,):
        raise reader.unsupported("mixes events: the batch axis is not first", "reshape per event")
    return result


def _constant(tensor: torch.Tensor) -> NDArray[Any]:
    """In float64 where it held integers, whose arithmetic would wrap."""
    array = tensor.detach().cpu().numpy()
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


def _call(reader: Reader, registry: Registry[Converter], name: str, args: Any, kwargs: Any) -> Any:
    if name not in registry:
        raise reader.unsupported("has no fixed-point form here")
    converter = registry[name]
    if "axis" in kwargs and "dim" in inspect.signature(converter).parameters:
        kwargs = {"dim" if k == "axis" else k: v for k, v in kwargs.items()}
    try:
        bound = inspect.signature(converter).bind(reader, *args, **kwargs)
    except TypeError as error:
        raise reader.unsupported(f"with these arguments is not supported ({error})") from error
    return converter(*bound.args, **bound.kwargs)


def _module_path(node: fx.Node) -> str:
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack") or {}
    inside = [str(path) for path, _ in stack.values()] if stack else []
    return ".".join(filter(None, [inside[-1] if inside else "", node.name]))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _flat(item)]
    if isinstance(value, dict):
        return _flat(list(value.values()))
    if isinstance(value, slice):
        return _flat([value.start, value.stop, value.step])
    return [value]


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(leaf, torch.Tensor) for leaf in _flat(value))
