"""Keras and the fixed-point graph agree for every rounding and overflow mode, and on random networks."""

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import corner_inputs, trace_keras
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ConfigError
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding


def contract_of(shape: tuple[int, ...], text: str) -> InputContract:
    fmt = FixedFormat.parse(text)
    features = (InputFeature(f"x{i}", "", 0.0, 0, fmt) for i in range(shape[-1]))
    return InputContract(tuple(features), shape)


@pytest.mark.parametrize("bits", [{"activation_fraction": 0}, {"table_bits": 0}])
def test_less_than_no_bits_are_refused(bits: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="leave -1 bits"):
        QuantizationScheme(activation_integers=-1, **bits)


def assert_same_bits(model: keras.Model, contract: InputContract, seed: int = 1) -> None:
    x = corner_inputs(contract, 200, seed)
    got = trace_keras(model, contract).predict(x.reshape(len(x), -1).astype(np.float64))
    np.testing.assert_array_equal(got, np.asarray(model(x)).reshape(len(x), -1))


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
def test_modes_of_activations_with_overflow(rounding: Rounding, overflow: Overflow) -> None:
    """Ranges that are too small: most sums overflow, on both sides."""
    contract = contract_of((5,), "ap_fixed<7,4,RND,SAT>")
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    scheme = QuantizationScheme(
        weight_bits=5,
        activation_integers=0,
        activation_fraction=2,
        activation_rounding=rounding,
        activation_overflow=overflow,
        input_overflow=overflow,
    )
    model = lower(module, contract, scheme)
    hidden = np.asarray(
        keras.Model(model.inputs[0], model.layers[1].output)(corner_inputs(contract, 50, 1))
    )
    assert (np.abs(hidden) > 1).any() and (hidden < -1).any()
    assert_same_bits(model, contract)


@pytest.mark.parametrize("inputs", [6, 8, 12])
def test_signed_bits(inputs: int) -> None:
    """One bit that is the sign: 0 or -1, at the port and between the layers."""
    contract = contract_of((inputs,), "ap_fixed<1,1,TRN,WRAP>")
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(inputs, 8, bias=False), nn.Linear(8, 3))
    with torch.no_grad():
        module[0].weight.mul_(4)  # type: ignore[operator]
    scheme = QuantizationScheme(
        weight_bits=5,
        activation_integers=0,
        activation_fraction=0,
        activation_overflow=Overflow.SAT,
    )
    model = lower(module, contract, scheme)
    assert len(np.unique(np.asarray(model(corner_inputs(contract, 200, 1))), axis=0)) > 2
    assert_same_bits(model, contract)


@pytest.mark.parametrize("value", [-1.0, 0.75, 1.0, 1.5, 3.0])
def test_a_pruned_channel_that_overflows_as_an_unsigned_constant(value: float) -> None:
    contract = contract_of((2,), "ap_fixed<4,1,RND,SAT>")
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    with torch.no_grad():
        first.weight[0] = 0
        first.bias.fill_(value)
        second.weight.fill_(1.0)
    scheme = QuantizationScheme(activation_integers=0, activation_fraction=3)
    model = lower(nn.Sequential(first, second), contract, scheme)
    sign = model.layers[2].iq.quantizer._k
    sign.assign(np.zeros(sign.shape))
    assert_same_bits(model, contract)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", [Overflow.SAT, Overflow.SAT_SYM])
def test_modes_of_weights(rounding: Rounding, overflow: Overflow) -> None:
    contract = contract_of((5,), "ap_fixed<6,3>")
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    scheme = QuantizationScheme(
        weight_bits=4, weight_rounding=rounding, weight_overflow=overflow, bias_bits=3
    )
    model = lower(module, contract, scheme)
    for layer in model.layers[1:]:
        layer._kernel.assign(2.5 * np.asarray(layer._kernel))  # past the range of its bits
    hgq.utils.trace_minmax(model, corner_inputs(contract, 100, 1))
    assert_same_bits(model, contract)


@pytest.mark.parametrize("granularity", ["element", "channel", "layer"])
def test_granularities(granularity: str) -> None:
    contract = contract_of((4, 3), "ap_ufixed<5,2,RND_CONV,SAT>")
    torch.manual_seed(4)
    scheme = QuantizationScheme(
        weight_bits=4,
        weight_granularity=granularity,  # type: ignore[arg-type]
        activation_granularity=granularity,  # type: ignore[arg-type]
    )
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    model = lower(module, contract, scheme)
    hgq.utils.trace_minmax(model, corner_inputs(contract, 100, 1))
    assert_same_bits(model, contract)


def test_pruned_weights_and_dead_activations() -> None:
    contract = contract_of((5,), "ap_fixed<6,3>")
    module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    model = lower(module, contract, QuantizationScheme(weight_bits=4))
    hgq.utils.trace_minmax(model, corner_inputs(contract, 100, 1))
    first, second = model.layers[1:]
    bits = np.array(first.kq.quantizer._b)
    bits[:, :2] = 0
    first.kq.quantizer._b.assign(bits)
    fraction = np.array(second.iq.quantizer._f)
    fraction[:, 0] = -20
    second.iq.quantizer._f.assign(fraction)
    assert not np.asarray(first.qkernel)[:, :2].any()
    assert_same_bits(model, contract)


class RandomNetwork(nn.Module):
    """A network drawn from the supported operations; input (N, 4, 3)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        self.steps = random.choice(9, size=4)
        self.linears = nn.ModuleList(nn.Linear(3, 3) for _ in self.steps)
        self.convolution = nn.Conv1d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 2)
        self.pool = ("sum", "amax", "mean")[seed % 3]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The drawn steps, pooling, and a dense layer."""
        y = x
        for step, linear in zip(self.steps, self.linears, strict=True):
            y = self._step(int(step), linear, x, y)
        pooled = getattr(y, self.pool)(dim=1)
        result: torch.Tensor = self.head(pooled)
        return result

    def _step(self, step: int, linear: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        forms = (
            lambda: torch.relu(linear(y)),
            lambda: linear(y) + x,
            lambda: linear(y) * x[..., :1],
            lambda: torch.tanh(linear(y)),
            lambda: torch.cat([linear(y)[..., :2], x[..., 2:]], dim=-1),
            lambda: self.norm(linear(y).transpose(1, 2)).transpose(1, 2),
            lambda: torch.relu(self.convolution(y.transpose(1, 2)).transpose(1, 2)),
            lambda: linear(y) - y.mean(dim=1, keepdim=True),
            lambda: torch.maximum(linear(y), x),
        )
        result: torch.Tensor = forms[step]()
        return result


@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed: int) -> None:
    contract = contract_of((4, 3), "ap_fixed<5,3,RND,SAT>")
    torch.manual_seed(seed)
    scheme = QuantizationScheme(
        weight_bits=4,
        activation_fraction=2,
        table_bits=4,
        activation_overflow=list(Overflow)[seed % 3],
        activation_rounding=list(Rounding)[seed // 3 % 3],
    )
    module = RandomNetwork(seed).eval()
    x = corner_inputs(contract, 200, seed)
    plain = np.asarray(lower(module, contract)(x))
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    assert np.abs(plain - expected).max() < 4e-6 * np.abs(expected).max()
    model = lower(module, contract, scheme)
    hgq.utils.trace_minmax(model, corner_inputs(contract, 200, seed + 1))
    assert_same_bits(model, contract, seed)
