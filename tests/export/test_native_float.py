"""The native float engine gives torch's numbers in float64 up to float32's own rounding."""

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
from triggerforge.export.engines.native import CompiledRuntime
from triggerforge.export.native.float_source import write_float_source
from triggerforge.training.models.registry import MODELS

Make = Callable[..., CompiledRuntime]
"""the fixture `make_native_float`"""

TOLERANCE = 1e-5
"""largest difference, in units of the largest output"""
EVENTS = (1, 2, 16, 37)
"""alone, a few, one whole block, blocks and a rest"""


class Masked(nn.Module):
    """A mean over the particles that are there, and the largest of them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        there = (x[:, :, :1] * 0.5).sigmoid()
        y = torch.tanh(self.inner(x)) * there
        mean = y.sum(1) / (there.sum(1) + 1.0)
        return torch.cat([mean, y.amax(1), y.mean(2)], 1)


class Attention(nn.Module):
    """One head of scaled products with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 6) for _ in range(3))
        self.out = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.q(x) @ self.k(x).transpose(1, 2) / 6**0.5, -1)
        return (x + self.out(weights @ self.v(x))).flatten(1)


MODULES: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "one output": ((7,), lambda: nn.Sequential(nn.Linear(7, 1))),
    "widths": (
        (16,),
        lambda: nn.Sequential(
            *(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 33), nn.Tanh()),
            *(nn.Linear(33, 130), nn.Sigmoid(), nn.Linear(130, 5), nn.Softmax(1)),
        ),
    ),
    "picture": (
        (2, 9, 7),
        lambda: nn.Sequential(
            *(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 20, 2)),
            *(nn.LeakyReLU(0.1), nn.AvgPool2d((1, 2)), nn.Flatten(), nn.Linear(60, 4)),
        ),
    ),
    "steps": (
        (3, 17),
        lambda: nn.Sequential(
            *(nn.Conv1d(3, 6, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv1d(6, 9, 2, dilation=3), nn.Flatten(), nn.Linear(54, 2)),
        ),
    ),
    "more than fits in blocks": (
        (1, 64, 64),
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(8), nn.Flatten()),
            nn.Linear(512, 3),
        ),
    ),
    "masked": ((8, 3), Masked),
    "attention": ((5, 4), Attention),
}
NETWORKS: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "mlp": ((16,), "mlp", {"batchnorm": True}),
    "deepsets": ((8, 3), "deepsets", {}),
    "max": ((8, 3), "deepsets", {"pool": "max"}),
    "jedi_linear": ((8, 3), "jedi_linear", {"width": 8, "head": (8,)}),
    "cnn": ((40, 40, 1), "cnn", {}),
}


def require_close(make: Make, module: nn.Module, contract: InputContract) -> None:
    x = np.random.default_rng(1).normal(size=(max(EVENTS), *contract.shape)).astype(np.float32)
    with torch.no_grad():
        expected = module.eval().double()(torch.from_numpy(x).double()).numpy()
    engine = make(module.float(), contract, expected.shape[1])
    for events in EVENTS:
        got = engine.predict(x[:events])
        assert np.abs(got - expected[:events]).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("name", MODULES)
def test_layers(
    name: str, make_contract: Callable[..., InputContract], make_native_float: Make
) -> None:
    shape, build = MODULES[name]
    torch.manual_seed(1)
    require_close(make_native_float, build(), make_contract(*shape))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_come_along(
    name: str, make_contract: Callable[..., InputContract], make_native_float: Make
) -> None:
    shape, model, arguments = NETWORKS[name]
    torch.manual_seed(1)
    contract = make_contract(*shape)
    require_close(make_native_float, MODELS[model](contract, 5, **arguments), contract)


@pytest.mark.parametrize("events", [1, 16])
def test_nan_stays_where_it_is(
    events: int, make_contract: Callable[..., InputContract], make_native_float: Make
) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = np.ones((events, 4), np.float32)
    x[0, 2] = np.nan
    got = make_native_float(module, make_contract(4), 2).predict(x)
    assert np.isnan(got[0]).all() and np.isfinite(got[1:]).all()


class Functions(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.exp(x), torch.tanh(x), torch.sigmoid(x)], 1)


@pytest.fixture(scope="module")
def functions(
    make_contract: Callable[..., InputContract], make_native_float: Make
) -> CompiledRuntime:
    return make_native_float(Functions(), make_contract(1), 3)


@pytest.mark.parametrize(
    "value", [-200.0, -90.0, -1e-3, 0.0, 0.3, 5.0, 88.5, 100.0, np.inf, -np.inf]
)
@pytest.mark.parametrize("events", [1, 16])
def test_functions_at_their_ends(value: float, events: int, functions: CompiledRuntime) -> None:
    x = np.full((events, 1), value, np.float32)
    expected = Functions()(torch.from_numpy(x).double()).numpy()
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(
            functions.predict(x), expected.astype(np.float32), rtol=1e-6, atol=1e-38
        )


def model_of(node: onnx.NodeProto, constants: dict[str, Any]) -> onnx.ModelProto:
    """x (N, 4) through one node."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 4]) for n in ("x", "y")]
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    return helper.make_model(helper.make_graph([node], "g", values[:1], values[1:], tensors))


@pytest.mark.parametrize(
    ("kind", "constants", "words"),
    [
        ("CumSum", {}, "CumSum"),
        ("Softmax", {}, "over the axis that counts events"),
        ("Add", {"e": np.ones((3, 4), np.float32)}, "differs from event to event"),
        ("Gemm", {"e": np.full((4, 4), np.nan, np.float32)}, "NaN"),
        ("Gemm", {"e": np.zeros((4, 300_000), np.float32)}, "weights"),
        ("Pad", {"e": np.array([0, 0, 0, 1_100_000])}, "on the stack"),
    ],
)
def test_what_it_cannot_do_is_named(kind: str, constants: dict[str, Any], words: str) -> None:
    more = {"axis": 0} if kind == "Softmax" else {}
    node = helper.make_node(kind, ["x", *constants], ["y"], **more)
    with pytest.raises(UnsupportedOperationError, match=words):
        write_float_source(model_of(node, constants))
