"""Every layer of the native float engine against torch in float64, as torch exports it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.export.engines.native import CompiledRuntime

TOLERANCE = 1e-5
"""largest difference, in units of the largest output of that branch"""
EVENTS = (1, 3, 37)
"""alone, a few, whole blocks and a rest"""
Branch = Callable[[Tensor], Tensor]


class Branches(nn.Module):
    """Branches side by side, each flattened: one network tests many layers."""

    def __init__(self, *branches: Branch) -> None:
        super().__init__()
        self.branches = branches
        self.owned = nn.ModuleList(b for b in branches if isinstance(b, nn.Module))

    def parts(self, x: Tensor) -> list[Tensor]:
        return [branch(x).flatten(1) for branch in self.branches]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x), 1)


class EdgeConv(nn.Module):
    """ParticleNet's block (Qu, Gouskos, 1902.08570): k nearest neighbours, and a mean of edges."""

    def __init__(self, inputs: int, outputs: int, neighbours: int) -> None:
        super().__init__()
        self.k = neighbours
        self.edges = nn.Sequential(
            *(nn.Conv2d(2 * inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
            *(nn.Conv2d(outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
        )
        self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, P) to (N, outputs, P)."""
        n, channels, particles = x.shape
        squares = (x * x).sum(1, keepdim=True)
        closeness = 2 * x.transpose(1, 2) @ x - squares - squares.transpose(1, 2)
        chosen = closeness.topk(self.k + 1, dim=-1).indices[:, :, 1:]
        flat = chosen.reshape(n, 1, particles * self.k).expand(n, channels, particles * self.k)
        around = torch.gather(x, 2, flat).reshape(n, channels, particles, self.k)
        centre = x.unsqueeze(-1).expand(-1, -1, -1, self.k)
        edges = self.edges(torch.cat([centre, around - centre], 1))
        return F.relu(self.shortcut(x) + edges.mean(-1))


class ParticleNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(EdgeConv(3, 6, 3), EdgeConv(6, 5, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x.transpose(1, 2)).mean(-1)


class Recurrent(nn.Module):
    """All outputs and the last states of a recurrent layer."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        if not self.layer.batch_first:
            x = x.transpose(0, 1)
        y, last = self.layer(x)
        if not self.layer.batch_first:
            y = y.transpose(0, 1)
        states = last if isinstance(last, tuple) else (last,)
        return torch.cat([y.flatten(1), *(s.transpose(0, 1).flatten(1) for s in states)], 1)


class SelfAttention(nn.Module):
    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(features, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x, x, x)[0]
        return y


def neighbours(x: Tensor) -> Tensor:
    """Neighbours by the indices of advanced indexing."""
    away = (x.unsqueeze(2) - x.unsqueeze(1)).square().sum(-1)
    chosen = away.topk(3, dim=2, largest=False).indices
    return x[torch.arange(x.shape[0]).view(-1, 1, 1), chosen].amax(2)


def neighbours_of_all(x: Tensor) -> Tensor:
    """The same as ParticleNet's code has it: the particles of all events in one list."""
    n, particles, features = x.shape
    away = (x.unsqueeze(2) - x.unsqueeze(1)).square().sum(-1)
    chosen = away.topk(3, dim=2, largest=False).indices
    first = torch.arange(n).view(-1, 1, 1) * particles
    around = x.permute(2, 0, 1).reshape(features, -1)[:, (chosen + first).view(-1)]
    return around.view(features, n, particles, 3).transpose(0, 1).amax(-1)


def there(x: Tensor) -> Tensor:
    return x[:, :, :1].abs() > 0.5


def build_activations() -> nn.Module:
    return Branches(
        *(nn.GELU(), nn.GELU("tanh"), nn.Softplus(), nn.ELU(0.7), nn.SELU(), nn.CELU(0.5)),
        *(nn.Hardtanh(-0.5, 2.0), nn.Hardsigmoid(), nn.Hardswish(), nn.SiLU(), nn.Mish()),
        *(nn.ReLU6(), nn.PReLU(6), nn.Softsign(), nn.LogSigmoid(), nn.LeakyReLU(0.2)),
    )


def build_functions() -> nn.Module:
    return Branches(
        *(torch.sin, torch.cos, torch.erf, torch.sign, torch.floor, torch.ceil, torch.round),
        *(lambda x: x.abs().log(), lambda x: x.abs().rsqrt(), lambda x: x.abs().log1p()),
        *(lambda x: x**3, lambda x: x**4, lambda x: x.abs() ** 0.5, lambda x: x.abs() ** 1.7),
        *(lambda x: x**-1, lambda x: x.abs().add(1) ** x, lambda x: x.clamp(max=0.3)),
        *(lambda x: torch.maximum(x, -x[:, :1]), lambda x: x.long().float(), torch.trunc),
    )


def build_normalisations() -> nn.Module:
    layers: list[Any] = [
        *(nn.LayerNorm(4), nn.LayerNorm((6, 4)), nn.BatchNorm1d(6), nn.GroupNorm(2, 6)),
        *(nn.InstanceNorm1d(6, affine=True), nn.RMSNorm(4), nn.Softmax(1), nn.LogSoftmax(2)),
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(24), nn.Linear(24, 3), nn.BatchNorm1d(3)),
    ]
    return Branches(*layers)


def build_conditions() -> nn.Module:
    return Branches(
        lambda x: torch.where((x > 0) & (x < 1) | ~(x <= -1), x, torch.sin(x)),
        lambda x: (x * there(x)).sum(1) / there(x).sum(1).clamp(min=1),
        lambda x: x.masked_fill(~there(x), -1e9).softmax(1),
        lambda x: x.masked_fill(there(x) ^ (x > 1), -2.0).amax(1),
        lambda x: ((x >= 0.5).sum(1) // 2).float(),
        lambda x: (x > 1).any(1).float() + (x < 1).all(2, keepdim=True).float()[:, :4, 0],
        lambda x: torch.nan_to_num(x / (x > 0), 1.0, 2.0, 3.0),
        lambda x: (x.long() == x[:, :1].long()).float() + (x != x[:, :1]),
    )


def build_moves() -> nn.Module:
    return Branches(
        lambda x: torch.cat(x.split([1, 2, 3], 1)[::-1], 1),
        lambda x: torch.mul(*x.chunk(2, -1)),
        *(lambda x: x[:, :, None].expand(-1, -1, 3, -1), lambda x: x.repeat(1, 2, 3)),
        *(lambda x: F.pad(x, (1, 2, 3, 0), value=2.5), lambda x: F.pad(x, (-1, 2))),
        *(partial(F.pad, pad=(1, 2), mode=m) for m in ("reflect", "replicate", "circular")),
        *(lambda x: x.flip(1), lambda x: x.roll(2, 1), lambda x: x[:, 1:-1:2, -2:]),
        *(lambda x: x.transpose(0, 1).tanh().transpose(0, 1), lambda x: x.permute(2, 0, 1).sum(0)),
        *(
            lambda x: x.reshape(-1, 4).abs().reshape(-1, 6, 4),
            lambda x: x.unflatten(1, (2, 3)).sum(1),
        ),
        lambda x: torch.stack(
            [x[:, 0], torch.ones_like(x[:, 0]), x.new_zeros(4).expand_as(x[:, 0])], 1
        ),
        *(lambda x: x[:, [3, 0, 3]], lambda x: x[:, :, 2]),
    )


def build_reductions() -> nn.Module:
    return Branches(
        *(lambda x: x.var(1), lambda x: x.std(2), lambda x: x.norm(dim=1), lambda x: x.prod(1)),
        *(lambda x: x.logsumexp(1), lambda x: x.argmax(1).float(), lambda x: x.argmin(2).float()),
        *(lambda x: x.sum((1, 2))[:, None], lambda x: x.mean((-2, -1))[:, None]),
        *(
            lambda x: x.sort(1)[0],
            lambda x: x.topk(2, 1)[0],
            lambda x: x.topk(3, 1, False)[1].float(),
        ),
        *(lambda x: x.amin(2), lambda x: x.norm(1, 2), lambda x: x.sort(2, True)[1].float()),
        lambda x: x.gather(1, x.argsort(1)[:, :2].flip(1)),
        lambda x: x.transpose(0, 1).mean(0),
    )


def build_products() -> nn.Module:
    w, v = torch.randn(6, 5), torch.randn(4)
    return Branches(
        lambda x: torch.einsum("bnc,bmc->bnm", x, x),
        lambda x: torch.einsum("bnc,bnd->bcd", x, x.tanh()),
        lambda x: torch.einsum("bnc,nd->bdc", x, w.to(x.dtype)),
        lambda x: torch.einsum("bnc->bc", x),
        *(lambda x: torch.bmm(x, x.transpose(1, 2)), lambda x: w.T.to(x.dtype) @ x),
        *(lambda x: x @ v.to(x.dtype), lambda x: x.transpose(1, 2) @ x[:, :, :1]),
        SelfAttention(4, 2),
    )


def build_pools() -> nn.Module:
    return Branches(
        *(nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 2, 1, dilation=2)),
        *(nn.AvgPool2d(2, padding=1, count_include_pad=False, ceil_mode=True),),
        *(nn.AvgPool2d(3, padding=1), nn.AvgPool2d((2, 3), 2, ceil_mode=True)),
        *(nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1), nn.Upsample(scale_factor=2)),
        *(nn.AvgPool2d(3, 2, 1, ceil_mode=True), nn.MaxPool2d(2, 3, ceil_mode=True)),
    )


def build_convolutions() -> nn.Module:
    return Branches(
        nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.BatchNorm2d(6)),
        nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False),
        nn.Conv2d(4, 8, (1, 3), stride=2, dilation=(1, 2), groups=4, padding=(0, 2)),
        nn.Conv2d(4, 3, (3, 1), padding="same"),
        nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 4, 3, padding=2, groups=2, stride=2)),
        nn.Conv2d(4, 3, 3, padding=1, padding_mode="circular"),
    )


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "activations": ((6, 4), build_activations),
    "functions": ((2, 4), build_functions),
    "normalisations": ((6, 4), build_normalisations),
    "conditions": ((6, 4), build_conditions),
    "moves": ((6, 4), build_moves),
    "reductions": ((6, 4), build_reductions),
    "products": ((6, 4), build_products),
    "pools": ((2, 9, 7), build_pools),
    "convolutions": ((4, 7, 6), build_convolutions),
    "recurrent": (
        (5, 3),
        lambda: Branches(
            Recurrent(nn.GRU(3, 6, batch_first=True, bidirectional=True)),
            Recurrent(nn.GRU(3, 4, num_layers=2, bias=False)),
            Recurrent(nn.LSTM(3, 5, batch_first=True, bidirectional=True)),
        ),
    ),
    "neighbours": ((7, 3), lambda: Branches(ParticleNet(), neighbours, neighbours_of_all)),
    "transformer": (
        (6, 4),
        lambda: Branches(nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True)),
    ),
}


def with_random_statistics(module: nn.Module) -> nn.Module:
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.3, 2)
        if isinstance(layer, nn.LayerNorm | nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return module.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_layers(
    name: str,
    make_contract: Callable[..., InputContract],
    make_native_float: Callable[..., CompiledRuntime],
) -> None:
    shape, build = NETWORKS[name]
    torch.manual_seed(1)
    module = with_random_statistics(build())
    x = np.random.default_rng(1).normal(size=(max(EVENTS), *shape)).astype(np.float32)
    with torch.no_grad():
        expected = [p.numpy() for p in module.double().parts(torch.from_numpy(x).double())]
    ends = np.cumsum([p.shape[1] for p in expected])
    engine = make_native_float(module.float(), make_contract(*shape), int(ends[-1]))
    for events in EVENTS:
        parts = np.split(engine.predict(x[:events]), ends[:-1], axis=1)
        for number, (got, wanted) in enumerate(zip(parts, expected, strict=True)):
            error = np.abs(got - wanted[:events]).max()
            assert error <= TOLERANCE * np.abs(wanted).max(), f"branch {number}, {events} events"


def test_nan_and_infinity_are_those_of_torch(
    make_contract: Callable[..., InputContract],
    make_native_float: Callable[..., CompiledRuntime],
) -> None:
    module = Branches(
        *(lambda x: x.topk(3, 1)[0], lambda x: x.sort(1)[0], lambda x: x.amax(1), torch.relu),
        *(lambda x: x.clamp(-1, 1), lambda x: x.softmax(1), lambda x: x.logsumexp(1)),
        *(lambda x: torch.where(x > 0, x, 0.0), lambda x: x.abs().log(), torch.erf, torch.sign),
        *(nn.Softplus(), nn.ELU(), nn.Hardtanh(), nn.LeakyReLU(), nn.Hardsigmoid(), torch.sigmoid),
        *(lambda x: x.masked_fill(x > 0, -torch.inf).softmax(1), lambda x: torch.minimum(x, -x)),
        *(lambda x: x.mean(1), lambda x: x.argmax(1).float(), torch.floor, lambda x: x**3),
    )
    x = np.random.default_rng(1).normal(size=(37, 5, 2)).astype(np.float32)
    x.ravel()[::7] = np.resize([np.nan, np.inf, -np.inf, 0.0, 1e30], len(x.ravel()[::7]))
    expected = module.double()(torch.from_numpy(x).double()).numpy()
    engine = make_native_float(module.float(), make_contract(5, 2), expected.shape[1])
    with np.errstate(over="ignore"):
        wanted = expected.astype(np.float32)
    for events in EVENTS:
        np.testing.assert_allclose(engine.predict(x[:events]), wanted[:events], 1e-5, 1e-6)
