"""Structured pruning: what is left computes the same where nothing of weight was taken."""

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from triggerforge.compression.bitmap import ebops
from triggerforge.compression.lowering import lower
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.compression.structured import prune_structured
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import UnsupportedOperationError
from triggerforge.fixedpoint import FixedFormat


def contract(*shape: int) -> InputContract:
    fmt = FixedFormat.parse("ap_fixed<8,4,RND,SAT>")
    return InputContract(
        tuple(InputFeature(f"f{i}", "", 0.0, 0, fmt) for i in range(shape[-1])), shape
    )


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 6), nn.Tanh(),
        nn.Linear(6, 3),
    )  # fmt: skip


def image() -> nn.Module:
    class Image(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(),
            )  # fmt: skip
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 9, 3))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(self.features(x.permute(0, 3, 1, 2)))
            return y

    return Image()


def sets() -> nn.Module:
    class Sets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.phi = nn.Sequential(nn.Conv1d(3, 8, 1), nn.ReLU(), nn.Conv1d(8, 8, 1), nn.ReLU())
            self.rho = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))

        def forward(self, x: Tensor) -> Tensor:
            p = x.transpose(1, 2)
            latent = self.phi(p) * p[:, -1:, :]
            y: Tensor = self.rho(latent.sum(dim=2) * 0.25)
            return y

    return Sets()


MODULES = {"dense": (dense, (4,)), "image": (image, (6, 6, 1)), "sets": (sets, (5, 3))}


def made(name: str) -> tuple[nn.Module, InputContract, Tensor]:
    build, shape = MODULES[name]
    torch.manual_seed(3)
    module = build()
    x = torch.randn(64, *shape)
    module.train()
    for _ in range(3):  # normalisations with statistics of their own
        module(x)
    return module.eval(), contract(*shape), x


def mute_half(module: nn.Module) -> None:
    """Every second channel of each layer gets no weight in the layers that read it."""
    layers = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    with torch.no_grad():
        for before, after in itertools.pairwise(layers):
            per_channel = after.weight.shape[1] // before.weight.shape[0]
            for channel in range(0, before.weight.shape[0], 2):
                after.weight[:, channel * per_channel : (channel + 1) * per_channel] = 0


@pytest.mark.parametrize("name", MODULES)
def test_channels_that_nobody_weighs_leave_without_a_trace(name: str) -> None:
    module, inputs, x = made(name)
    mute_half(module)
    before = copy.deepcopy(module.state_dict())
    smaller = prune_structured(module, inputs, 0.5)
    torch.testing.assert_close(smaller(x), module(x), rtol=1e-5, atol=1e-6)
    sizes = [len(m.weight) for m in module.modules() if hasattr(m, "weight")]
    left = [len(m.weight) for m in smaller.modules() if hasattr(m, "weight")]
    assert left == [n // 2 for n in sizes[:-1]] + sizes[-1:]
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("name", MODULES)
def test_pruned_module_lowers_to_fewer_ebops(name: str) -> None:
    module, inputs, x = made(name)
    smaller = prune_structured(module, inputs, 0.5)
    scheme = QuantizationScheme(weight_granularity="layer", activation_granularity="layer")
    whole, part = (ebops(lower(m, inputs, scheme)) for m in (module, smaller))
    assert part < 0.6 * whole
    exact = lower(smaller, inputs)
    torch.testing.assert_close(
        torch.tensor(exact.predict(x.numpy(), verbose=0)), smaller(x), rtol=1e-4, atol=1e-5
    )


def test_at_most_so_many_weights() -> None:
    module, inputs, _ = made("dense")
    count = sum(p.numel() for p in module.parameters())
    smaller = prune_structured(module, inputs, max_weights=count // 2)
    left = sum(p.numel() for p in smaller.parameters())
    assert 0.3 * count < left <= count // 2
    with pytest.raises(UnsupportedOperationError, match="even with one channel"):
        prune_structured(module, inputs, max_weights=3)


def test_one_channel_always_stays() -> None:
    module, inputs, x = made("dense")
    smaller = prune_structured(module, inputs, 0.99)
    assert smaller(x).shape == (64, 3)
    assert [m.out_features for m in smaller.modules() if isinstance(m, nn.Linear)] == [1, 1, 3]


class Residual(nn.Module):
    """The channels of `a` and `b` are summed, those of `c` are free."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(4, 8)
        self.c, self.d = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.d(torch.relu(self.c(self.a(x) + self.b(x))))
        return y


def test_summed_channels_stay_whole() -> None:
    smaller = prune_structured(Residual(), contract(4), 0.5)
    assert [len(m.weight) for m in smaller.children()] == [8, 8, 4, 3]


class Shared(nn.Module):
    """One layer in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.b(self.a(self.a(x)))
        return y


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Fixed(nn.Module):
    """Its forward insists on a width."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.b(self.a(x).reshape(-1, 8))
        return y


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Shared, "no Linear or Conv"),
        (lambda: nn.Linear(4, 3), "no Linear or Conv"),
        (Branching, "cannot trace"),
        (Fixed, "fewer channels"),
    ],
)
def test_what_cannot_be_pruned_is_one_error(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=message):
        prune_structured(build(), contract(4), 0.5)
