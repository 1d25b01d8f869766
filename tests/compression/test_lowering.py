"""The Keras twin is the torch module before quantisation, and its own fixed-point graph after it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triggerforge.compression.backend import hgq
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import corner_inputs, trace_keras
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.compression.torch_reader import read_torch
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ModelError, UnsupportedOperationError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.models.registry import MODELS


def contract_of(shape: tuple[int, ...], text: str = "ap_fixed<8,3,RND,SAT>") -> InputContract:
    """All inputs in one format."""
    fmt = FixedFormat.parse(text)
    names = [f"x{i}" for i in range(shape[-1])]
    return InputContract(tuple(InputFeature(n, "", 0.0, 0, fmt) for n in names), shape)


class Fn(nn.Module):
    """A module of one function of a tensor, with layers that it may call."""

    def __init__(self, function: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Calls the function with the tensor and the layers."""
        return self.function(x, self)


def randomised(module: nn.Module, seed: int = 1) -> nn.Module:
    """`module` in eval mode with statistics of batch normalisation that are not 0 and 1."""
    torch.manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_var is not None and layer.running_mean is not None
            layer.running_var.uniform_(0.5, 2)
            layer.running_mean.normal_(0, 0.3)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return module.eval()


def inputs(contract: InputContract, events: int = 206, seed: int = 1) -> np.ndarray:
    """Inputs (N, *shape) on the contract's grid."""
    normal = np.random.default_rng(seed).normal(0, 1.5, (events, *contract.shape))
    return contract.quantize(normal)


class Scaled(nn.Module):
    """An argument of `forward` that keeps its default."""

    def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
        """x times the default."""
        return x * scale


V, P, IMG = (6,), (4, 3), (8, 6, 2)
_EINSUM = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))

NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "linear": (V, lambda: nn.Linear(6, 3)),
    "linear-no-bias": (V, lambda: nn.Linear(6, 3, bias=False)),
    "linear-per-particle": (P, lambda: nn.Linear(3, 5)),
    "batchnorm-after": (V, lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU())),
    "batchnorm-before": (V, lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4))),
    "batchnorm-alone": (V, lambda: nn.BatchNorm1d(6)),
    "batchnorm-after-relu": (
        V,
        lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 3)),
    ),
    "batchnorm-transposed": (
        P,
        lambda: Fn(
            lambda x, m: m.bn(m.lin(x).transpose(1, 2)).transpose(1, 2),
            lin=nn.Linear(3, 5),
            bn=nn.BatchNorm1d(5),
        ),
    ),
    "batchnorm-shared-source": (
        V,
        lambda: Fn(lambda x, m: m.bn(y := m.lin(x)) + y, lin=nn.Linear(6, 4), bn=nn.BatchNorm1d(4)),
    ),
    "conv1d": (P, lambda: nn.Conv1d(4, 5, 2)),
    "conv1d-padding": (P, lambda: nn.Conv1d(4, 5, 3, padding=1)),
    "conv1d-kernel-1": (P, lambda: nn.Sequential(nn.Conv1d(4, 5, 1), nn.BatchNorm1d(5), nn.ReLU())),
    "conv2d": (IMG, lambda: Fn(lambda x, m: m.c(x.permute(0, 3, 1, 2)), c=nn.Conv2d(2, 3, 3))),
    "conv2d-same": (
        IMG,
        lambda: Fn(
            lambda x, m: m.bn(m.c(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1),
            c=nn.Conv2d(2, 3, (3, 5), padding="same"),
            bn=nn.BatchNorm2d(3),
        ),
    ),
    "conv2d-strided": (
        IMG,
        lambda: Fn(
            lambda x, m: torch.relu(m.c(x.permute(0, 3, 1, 2))).flatten(1),
            c=nn.Conv2d(2, 3, 3, stride=2, padding=1),
        ),
    ),
    "conv2d-wide-padding": (
        IMG,
        lambda: Fn(
            lambda x, m: m.c(x.permute(0, 3, 1, 2)), c=nn.Conv2d(2, 3, 3, padding=2, bias=False)
        ),
    ),
    "conv2d-groups": (
        IMG,
        lambda: Fn(lambda x, m: m.c(x.permute(0, 3, 1, 2)), c=nn.Conv2d(2, 4, 3, groups=2)),
    ),
    "max-pool": (
        IMG,
        lambda: Fn(lambda x, m: m.p(x.permute(0, 3, 1, 2)), p=nn.MaxPool2d(2)),
    ),
    "avg-pool": (
        IMG,
        lambda: Fn(lambda x, m: m.p(x.permute(0, 3, 1, 2)).flatten(1), p=nn.AvgPool2d(2)),
    ),
    "max-pool-1d": (P, lambda: Fn(lambda x, m: m.p(x.transpose(1, 2)), p=nn.MaxPool1d(2))),
    "adaptive-avg": (
        IMG,
        lambda: Fn(lambda x, m: m.p(x.permute(0, 3, 1, 2)).flatten(1), p=nn.AdaptiveAvgPool2d(1)),
    ),
    "adaptive-max": (
        P,
        lambda: Fn(lambda x, m: m.p(x.transpose(1, 2)).squeeze(2), p=nn.AdaptiveMaxPool1d(1)),
    ),
    "relu": (V, lambda: nn.ReLU()),
    "leaky-relu": (V, lambda: nn.LeakyReLU(0.1)),
    "tanh": (V, lambda: nn.Tanh()),
    "sigmoid": (V, lambda: Fn(lambda x, m: torch.sigmoid(x))),
    "gelu": (V, lambda: nn.GELU()),
    "gelu-tanh": (V, lambda: nn.GELU("tanh")),
    "silu": (V, lambda: nn.SiLU()),
    "elu": (V, lambda: nn.ELU()),
    "relu6": (V, lambda: nn.ReLU6()),
    "hardtanh": (V, lambda: nn.Hardtanh()),
    "softplus": (V, lambda: nn.Softplus()),
    "exp": (V, lambda: Fn(lambda x, m: torch.exp(x))),
    "softmax": (V, lambda: nn.Softmax(dim=-1)),
    "softmax-particles": (P, lambda: Fn(lambda x, m: torch.softmax(x, dim=1))),
    "add": (V, lambda: Fn(lambda x, m: x + m.lin(x), lin=nn.Linear(6, 6))),
    "sub": (V, lambda: Fn(lambda x, m: m.lin(x) - x, lin=nn.Linear(6, 6))),
    "mul": (V, lambda: Fn(lambda x, m: x * m.lin(x), lin=nn.Linear(6, 6))),
    "square": (V, lambda: Fn(lambda x, m: x**2)),
    "scalars": (V, lambda: Fn(lambda x, m: 1.5 - (x * 0.75 + 0.25) / 2)),
    "constant-vector": (V, lambda: Fn(lambda x, m: x * torch.arange(1.0, 7.0) - 1)),
    "maximum": (V, lambda: Fn(lambda x, m: torch.maximum(x, m.lin(x)), lin=nn.Linear(6, 6))),
    "minimum": (V, lambda: Fn(lambda x, m: torch.minimum(x, m.lin(x)), lin=nn.Linear(6, 6))),
    "mask": (P, lambda: Fn(lambda x, m: (m.lin(x) * x[..., -1:]).sum(1), lin=nn.Linear(3, 5))),
    "mask-transposed": (
        P,
        lambda: Fn(
            lambda x, m: (m.c(y := x.transpose(1, 2)) * y[:, -1:, :]).sum(2), c=nn.Conv1d(3, 5, 1)
        ),
    ),
    "broadcast-add": (
        P,
        lambda: Fn(
            lambda x, m: m.a(x) + m.b(x.mean(1)).unsqueeze(1), a=nn.Linear(3, 5), b=nn.Linear(3, 5)
        ),
    ),
    "expand": (P, lambda: Fn(lambda x, m: x[:, :1].expand(-1, 4, -1) + x)),
    "cat": (V, lambda: Fn(lambda x, m: torch.cat([m.lin(x), x], dim=1), lin=nn.Linear(6, 2))),
    "cat-particles": (
        P,
        lambda: Fn(
            lambda x, m: torch.cat([x.transpose(1, 2), m.c(x).transpose(1, 2)], 1),
            c=nn.Linear(3, 2),
        ),
    ),
    "cat-slices": (P, lambda: Fn(lambda x, m: torch.cat([x[..., 2:3], x[..., 0:1]], dim=-1))),
    "stack": (V, lambda: Fn(lambda x, m: torch.stack([x[:, :3], x[:, 3:]], dim=1).sum(1))),
    "chunk": (V, lambda: Fn(lambda x, m: (c := x.chunk(2, dim=1))[0] * c[1])),
    "split": (V, lambda: Fn(lambda x, m: torch.split(x, [2, 4], dim=1)[1])),
    "select": (P, lambda: Fn(lambda x, m: x[:, 1])),
    "slice-step": (V, lambda: Fn(lambda x, m: x[:, ::2])),
    "new-axis": (V, lambda: Fn(lambda x, m: (x[:, None, :] * x[:, :, None]).sum(2))),
    "reshape": (P, lambda: Fn(lambda x, m: m.lin(x.reshape(x.shape[0], -1)), lin=nn.Linear(12, 3))),
    "view-transpose": (P, lambda: Fn(lambda x, m: x.transpose(1, 2).reshape(-1, 12))),
    "sum": (P, lambda: Fn(lambda x, m: x.sum(dim=1))),
    "sum-keepdim": (P, lambda: Fn(lambda x, m: x - x.sum(dim=1, keepdim=True))),
    "mean": (P, lambda: Fn(lambda x, m: x.mean(dim=1))),
    "mean-of-3": (P, lambda: Fn(lambda x, m: x.mean(dim=(2,)))),
    "scaled-sum": (P, lambda: Fn(lambda x, m: x.sum(dim=1) * 0.125)),
    "max-over-particles": (P, lambda: Fn(lambda x, m: x.max(dim=1).values)),
    "max-index": (P, lambda: Fn(lambda x, m: x.max(dim=1)[0])),
    "amax-keepdim": (P, lambda: Fn(lambda x, m: x.amax(dim=2, keepdim=True))),
    "einsum": (P, lambda: Fn(lambda x, m: torch.einsum("npf,npg->nfg", x, x))),
    "einsum-constant": (P, lambda: Fn(lambda x, m: torch.einsum("npf,fg->ngp", x, _EINSUM))),
    "matmul": (P, lambda: Fn(lambda x, m: x @ x.transpose(1, 2))),
    "matmul-constant": (P, lambda: Fn(lambda x, m: x @ _EINSUM)),
    "dropout": (V, lambda: nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5))),
    "relu-twice": (V, lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.ReLU())),
    "relu-in-place": (V, lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True))),
    "hardtanh-function": (V, lambda: Fn(lambda x, m: nn.functional.hardtanh(x))),
    "maximum-constant": (V, lambda: Fn(lambda x, m: torch.maximum(x, torch.full((6,), 0.25)))),
    "minimum-constant": (V, lambda: Fn(lambda x, m: torch.minimum(torch.arange(6.0), x))),
    "max-constant": (V, lambda: Fn(lambda x, m: torch.max(x, torch.tensor(0.5)))),
    "constant-of-bytes": (
        V,
        lambda: Fn(lambda x, m: x - torch.tensor([1, 2, 3, 0, 0, 0], dtype=torch.uint8)),
    ),
    "constant-widens": (V, lambda: Fn(lambda x, m: x[:, :1] * torch.arange(1.0, 7.0))),
    "constant-one-widens": (V, lambda: Fn(lambda x, m: x[:, :1] * torch.ones(6))),
    "constant-offset-widens": (
        P,
        lambda: Fn(lambda x, m: x[:, :1] + torch.arange(12.0).reshape(4, 3)),
    ),
    "constant-widens-sum": (
        P,
        lambda: Fn(lambda x, m: x.sum(1, keepdim=True) * torch.full((4, 1), 0.5)),
    ),
    "constant-widens-then-linear": (
        V,
        lambda: Fn(lambda x, m: m.lin(x[:, :1] * torch.arange(1.0, 7.0)), lin=nn.Linear(6, 3)),
    ),
    "constant-widens-linear": (
        V,
        lambda: Fn(lambda x, m: m.lin(x) * torch.arange(1.0, 7.0), lin=nn.Linear(6, 1)),
    ),
    "einsum-summed-constant": (
        P,
        lambda: Fn(lambda x, m: torch.einsum("npf,fg->np", x, _EINSUM)),
    ),
    "axis-keyword": (P, lambda: Fn(lambda x, m: torch.cat([x, x.sum(axis=1)[:, None]], axis=1))),
    "to-float": (V, lambda: Fn(lambda x, m: x.to(torch.float32) * 2)),
    "default-argument": (V, lambda: Scaled()),
    "attention": (
        P,
        lambda: Fn(
            lambda x, m: torch.softmax(m.q(x) @ m.k(x).transpose(1, 2), dim=-1) @ m.v(x),
            q=nn.Linear(3, 2),
            k=nn.Linear(3, 2),
            v=nn.Linear(3, 2),
        ),
    ),
}


TOLERANCE = 4e-6  # of the largest output: float32 sums in another order


def relative_error(module: nn.Module, shape: tuple[int, ...]) -> float:
    contract = contract_of(shape)
    x = inputs(contract)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    got = np.asarray(lower(module, contract)(x))
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_an_operation_keeps_its_values(name: str) -> None:
    shape, build = NETWORKS[name]
    torch.manual_seed(1)
    assert relative_error(randomised(build()), shape) < TOLERANCE


@pytest.mark.parametrize("name", NETWORKS)
def test_an_operation_is_bit_exact_once_quantised(name: str) -> None:
    shape, build = NETWORKS[name]
    torch.manual_seed(1)
    contract = contract_of(shape, "ap_fixed<6,3,RND,SAT>")
    scheme = QuantizationScheme(weight_bits=5, bias_bits=5, activation_fraction=3, table_bits=4)
    model = lower(randomised(build()), contract, scheme)
    x = corner_inputs(contract, 200, seed=2)
    hgq.utils.trace_minmax(model, inputs(contract, len(x)))
    got = trace_keras(model, contract).predict(x.reshape(len(x), -1).astype(np.float64))
    np.testing.assert_array_equal(got, np.asarray(model(x)).reshape(len(x), -1))


@pytest.mark.parametrize(
    ("name", "shape", "kwargs"),
    [
        ("mlp", (16,), {"batchnorm": True}),
        ("deepsets", (8, 4), {"batchnorm": True}),
        ("deepsets", (8, 4), {"form": "efn", "energy": "x0"}),
        ("deepsets", (8, 4), {"pool": "max"}),
        ("jedi_linear", (8, 4), {"width": 8, "head": (8,)}),
        ("cnn", (40, 40, 1), {}),
    ],
)
def test_the_models_that_come_along(
    name: str, shape: tuple[int, ...], kwargs: dict[str, object]
) -> None:
    torch.manual_seed(1)
    module = randomised(MODELS[name](contract_of(shape), 5, **kwargs))
    assert relative_error(module, shape) < TOLERANCE


def test_batch_normalisation_leaves_no_layer() -> None:
    _, build = NETWORKS["batchnorm-transposed"]
    kinds = [
        type(layer).__name__ for layer in lower(randomised(build()), contract_of((4, 3))).layers
    ]
    assert kinds == ["InputLayer", "QDense"]


def test_relu_joins_the_layer_before_it() -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    assert len(lower(module, contract_of((6,))).layers) == 2


def test_the_module_is_left_as_it_was() -> None:
    module = randomised(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)))
    expected = np.asarray(lower(module, contract_of(V))(inputs(contract_of(V))))
    module.train()
    module[1].eval()  # type: ignore[index]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    got = np.asarray(lower(module, contract_of(V))(inputs(contract_of(V))))
    np.testing.assert_array_equal(got, expected)
    assert [part.training for part in module.modules()] == [True, True, False, True]
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


class Nested(nn.Module):
    """An operation two levels down."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 4), inner)

    def forward(self, x: Tensor) -> Tensor:
        """Calls the trunk."""
        result: Tensor = self.trunk(x)
        return result


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (nn.LayerNorm(4), ["trunk.1", "LayerNorm", "BatchNorm1d"]),
        (nn.PReLU(), ["trunk.1", "PReLU", "ReLU"]),
        (Fn(lambda x, m: torch.sort(x, dim=1)[0]), ["trunk.1", "sort", "contract"]),
        (Fn(lambda x, m: x / (x + 1)), ["trunk.1", "truediv", "multiplication by a constant"]),
        (Fn(lambda x, m: x - x.mean()), ["trunk.1", "mean", "dim=1"]),
        (Fn(lambda x, m: x.sum(dim=0, keepdim=True) + x), ["trunk.1", "sum", "batch"]),
        (Fn(lambda x, m: x**3), ["trunk.1", "pow", "x ** 2"]),
        (Fn(lambda x, m: x[:3]), ["trunk.1", "getitem", "events"]),
        (Fn(lambda x, m: x.reshape(-1, 2)), ["trunk.1", "reshape", "batch"]),
        (Fn(lambda x, m: torch.cat([x, torch.ones(7, 4)], 1)), ["trunk.1", "cat", "constant"]),
        (Fn(lambda x, m: x.to(torch.int32).float()), ["trunk.1", "to torch.int32", "float32"]),
        (Fn(lambda x, m: nn.functional.dropout(x)), ["trunk.1", "dropout", "training"]),
        (Fn(lambda x, m: nn.functional.softplus(x, 2.0)), ["trunk.1", "softplus", "arguments"]),
        (Fn(lambda x, m: nn.functional.hardtanh(x, -2, 2)), ["trunk.1", "hardtanh", "-1 to 1"]),
        (Fn(lambda x, m: torch.cat([x[:, 0:0], x], 1)), ["trunk.1", "getitem", "elements"]),
        (Fn(lambda x, m: x + torch.tensor([0.0, 0, 0, -np.inf])), ["trunk.1", "add", "inf"]),
        (Fn(lambda x, m: torch.einsum("ni,ij->n", x, torch.ones(4, 2))), ["trunk.1", "einsum"]),
        (Fn(lambda x, m: torch.abs(x)), ["trunk.1", "abs", "maximum(x, -x)"]),
        (Fn(lambda x, m: torch.clamp(x, 0, 1)), ["trunk.1", "clamp", "hardtanh"]),
        (Fn(lambda x, m: x * (x > 0)), ["trunk.1", "gt", "0/1"]),
        (Fn(lambda x, m: torch.erf(x)), ["trunk.1", "erf", "docs/lowering.md"]),
    ],
)
def test_an_unsupported_operation_says_where_what_and_what_else(
    inner: nn.Module, words: list[str]
) -> None:
    with pytest.raises(UnsupportedOperationError) as error:
        lower(Nested(inner), contract_of((6,)))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv1d(4, 2, 2, padding_mode="circular", padding=1),
        nn.Conv1d(4, 2, 2, dilation=2),
        nn.AvgPool1d(3),
        nn.MaxPool1d(2, ceil_mode=True),
        nn.AdaptiveAvgPool1d(2),
        nn.AdaptiveMaxPool2d((1, None)),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.ELU(alpha=2.0),
        nn.Hardtanh(-2, 2),
        nn.BatchNorm1d(4, track_running_stats=False),
    ],
    ids=lambda m: type(m).__name__,
)
def test_an_unsupported_setting_is_named(module: nn.Module) -> None:
    with pytest.raises(UnsupportedOperationError, match=type(module).__name__):
        lower(module, contract_of((4, 3)))


def test_a_module_that_does_not_fit_the_contract() -> None:
    with pytest.raises(ModelError, match=r"shape \(N, 5\)"):
        lower(nn.Linear(6, 3), contract_of((5,)))


def test_a_module_that_branches_on_values() -> None:
    with pytest.raises(ModelError, match="branch"):
        lower(Fn(lambda x, m: x if x.sum() > 0 else -x), contract_of((6,)))


def test_a_module_with_two_outputs() -> None:
    module = Fn(lambda x, m: (x, x * 2))  # type: ignore[arg-type,return-value]
    with pytest.raises(ModelError, match="one tensor"):
        lower(module, contract_of((6,)))


def test_a_shared_module_becomes_two_layers() -> None:
    module = Fn(lambda x, m: m.lin(torch.relu(m.lin(x))), lin=nn.Linear(6, 6))
    names = [layer.name for layer in read_torch(module, contract_of((6,))) if layer.op == "linear"]
    assert names == ["lin", "lin_1"]
    assert relative_error(module, (6,)) < TOLERANCE


def test_a_sliced_input_is_quantised_first() -> None:
    """hls4ml 1.3 asks for a quantiser behind an input; the contract's own formats change nothing."""
    contract = contract_of((4, 3), "ap_fixed<6,3,RND,SAT>")
    model = lower(Fn(lambda x, m: x[..., 1:]), contract, QuantizationScheme())
    (quantizer,) = (layer.iq for layer in model.layers[1:])
    x = corner_inputs(contract, 50, seed=1)
    np.testing.assert_array_equal(np.asarray(quantizer(x)), x)
    assert not model.trainable_weights
