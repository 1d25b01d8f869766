"""TFLite models give torch's numbers in float64, layer by layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.float_model import float_onnx
from triggerforge.export.tflite.graph import tflite_bytes
from triggerforge.training.trained import TrainedModel

interpreter = pytest.importorskip("ai_edge_litert.interpreter")

TOLERANCE = 1e-5
"""largest difference, in units of the largest output"""


class Attention(nn.Module):
    """One head of scaled products with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 6) for _ in range(3))
        self.out = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 6**0.5, -1)
        return (x + self.out(weights @ self.v(x))).flatten(1)


class Message(nn.Module):
    """A sum over particles, given back to each of them; axes in torch's order and in TFLite's."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv1d(3, 6, 1), nn.Conv1d(6, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(self.inner(x.transpose(1, 2)))
        y = torch.relu(self.outer(y - y.mean(2, keepdim=True)) * x[:, :, :1].transpose(1, 2))
        return torch.cat([y.amax(2), y.sum(1), y.flatten(1)], 1)


MODULES: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "functions": (
        (6,),
        lambda: nn.Sequential(
            *(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8, bias=False), nn.Sigmoid()),
            *(nn.Linear(8, 9), nn.LeakyReLU(0.1), nn.Linear(9, 4), nn.Softmax(1)),
        ),
    ),
    "picture": (
        (2, 9, 7),
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 5, 3, padding=(1, 0)), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(5, 20, 2), nn.AvgPool2d((3, 1)), nn.Flatten(), nn.Linear(20, 4)),
        ),
    ),
    "steps": (
        (3, 17),
        lambda: nn.Sequential(
            *(nn.Conv1d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.AvgPool1d(2)),
            *(nn.Conv1d(6, 9, 2, dilation=2), nn.Flatten(), nn.ReLU(), nn.Linear(18, 2)),
        ),
    ),
    "attention": ((5, 4), Attention),
    "message": ((7, 3), Message),
}


@pytest.mark.parametrize("events", [1, 5])
@pytest.mark.parametrize("name", MODULES)
def test_layers(name: str, events: int, make_contract: Callable[..., InputContract]) -> None:
    shape, build = MODULES[name]
    torch.manual_seed(1)
    module = build().eval()
    x = np.random.default_rng(1).normal(size=(events, *shape)).astype(np.float32)
    with torch.no_grad():
        outputs = module(torch.from_numpy(x)).shape[1]
    names = tuple(f"o{i}" for i in range(outputs))
    proto = float_onnx(TrainedModel(module, make_contract(*shape), names, {"class": "none"}, []))
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(x).double()).numpy()
    got = run(tflite_bytes(proto, events), x)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= TOLERANCE * np.abs(expected).max()


def run(content: bytes, x: Any) -> Any:
    model = interpreter.Interpreter(model_content=content, num_threads=1)
    model.allocate_tensors()
    model.set_tensor(model.get_input_details()[0]["index"], x)
    model.invoke()
    return model.get_tensor(model.get_output_details()[0]["index"])


def model_of(node: onnx.NodeProto, constants: dict[str, Any]) -> onnx.ModelProto:
    """x (N, 4) through one node."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 4]) for n in ("x", "y")]
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    return helper.make_model(helper.make_graph([node], "g", values[:1], values[1:], tensors))


@pytest.mark.parametrize(
    ("kind", "constants", "more", "words"),
    [
        ("Erf", {}, {}, r"Erf.*no TFLite form of it here; .*known"),
        ("Softmax", {}, {"axis": 0}, "axis that counts events"),
        ("ReduceSum", {"a": np.array([0])}, {}, "axis that counts events"),
        ("Pow", {"e": np.float32(3)}, {}, "squares"),
        ("Reshape", {"s": np.array([-1, 2])}, {}, "mixes events"),
        ("Add", {"e": np.ones((2, 3, 4), np.float32)}, {}, "adds axes"),
        ("Gemm", {"w": np.ones((4, 4), np.float32)}, {"transA": 1}, "no dense layer"),
        (
            "Slice",
            {k: np.array([v]) for k, v in zip("sead", (0, 4, 1, 2), strict=True)},
            {},
            "skip",
        ),
    ],
)
def test_what_it_cannot_do_is_named(
    kind: str, constants: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    node = helper.make_node(kind, ["x", *constants], ["y"], **more)
    with pytest.raises(UnsupportedOperationError, match=words):
        tflite_bytes(model_of(node, constants), 3)
