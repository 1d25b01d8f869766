"""A module that is read wrongly is refused: its twin is compared with it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triggerforge.compression import lowering
from triggerforge.compression.graph import Graph
from triggerforge.compression.lowering import lower
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import LoweringError, ModelError
from triggerforge.fixedpoint import FixedFormat


def contract_of(shape: tuple[int, ...], text: str = "ap_fixed<8,3,RND,SAT>") -> InputContract:
    fmt = FixedFormat.parse(text)
    names = [f"x{i}" for i in range(shape[-1])]
    return InputContract(tuple(InputFeature(n, "", 0.0, 0, fmt) for n in names), shape)


class Calls(nn.Module):
    """A Linear and a function that may call it."""

    def __init__(self, function: Callable[[Tensor, nn.Module], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.linear = nn.Linear(6, 6)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Calls the function with the tensor and the layers."""
        return self.function(x, self)


def _augmented(x: Tensor, m: nn.Module) -> Tensor:
    h = m.linear(x)
    before = h
    h += x
    return h * before


def _discarded(x: Tensor, m: nn.Module) -> Tensor:
    y = m.linear(x)
    y.relu_()
    return y  # type: ignore[no-any-return]


def _sliced(x: Tensor, m: nn.Module) -> Tensor:
    y = m.linear(x)
    y[:, :2].mul_(0)
    return y  # type: ignore[no-any-return]


def _hooked() -> nn.Module:
    linear = nn.Linear(6, 3)
    linear.register_forward_hook(lambda module, given, output: output * 2)
    return nn.Sequential(linear)


WRONG = {
    "residual-in-place": lambda: Calls(lambda x, m: m.relu(y := m.linear(x)) + y),
    "augmented-alias": lambda: Calls(_augmented),
    "discarded": lambda: Calls(_discarded),
    "slice-in-place": lambda: Calls(_sliced),
    "number-of-events": lambda: Calls(lambda x, m: m.linear(x) / x.size(0)),
    "hook": _hooked,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_read_wrongly_is_refused(name: str) -> None:
    torch.manual_seed(1)
    with pytest.raises(LoweringError, match="changed in place"):
        lower(WRONG[name](), contract_of((6,)))


def test_an_event_that_is_picked_by_its_number() -> None:
    module = Calls(lambda x, m: m.linear(x)[..., 0, :])
    with pytest.raises(ModelError):
        lower(module, contract_of((7, 6)[1:]))


@pytest.mark.parametrize("part", ["kernel", "bias"])
def test_one_wrong_weight_of_a_small_output_is_seen(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output 1 is 10^-5 of output 0."""

    def spoiled(graph: Graph) -> Graph:
        (layer,) = (layer for layer in graph if layer.op == "linear")
        layer.weights[part][..., 1] *= 1.01
        return graph

    linear = nn.Linear(6, 2)
    with torch.no_grad():
        linear.weight[1] *= 1e-5
        linear.bias[1] = 1e-5
    lower(linear, contract_of((6,)))
    monkeypatch.setattr(lowering, "fold", spoiled)
    with pytest.raises(LoweringError, match="output 1 "):
        lower(linear, contract_of((6,)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(value: float) -> None:
    linear = nn.Linear(6, 2)
    with torch.no_grad():
        linear.weight[1, 2] = value
    with pytest.raises(ModelError, match="weight holds NaN or inf"):
        lower(linear, contract_of((6,)))


@pytest.mark.parametrize("scale", [1e-20, 1e-5, 1e5, 1e20])
def test_sound_networks_of_any_scale_pass(scale: float) -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.Linear(64, 3))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= scale ** (1 / 3)
    lower(module, contract_of((6,), "ap_fixed<16,12,RND,SAT>"))
