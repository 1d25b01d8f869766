"""Random networks of all layers: the native float engine against torch in float64.

More of them: TRIGGERFORGE_RANDOM_NETWORKS=300 python -m pytest tests/export/test_native_random.py
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.export.engines.native import CompiledRuntime

TOLERANCE = 1e-5
"""largest difference, in units of the largest output of the same inputs"""
WELL_CONDITIONED = 2e-6
"""the same for torch in float32: beyond it a network is a bad question, and is not asked"""
EVENTS = (1, 3, 300)
MORE = os.environ.get("TRIGGERFORGE_RANDOM_NETWORKS")
Draw = Callable[[Any], Any]


class Residual(nn.Module):
    def __init__(self, inner: nn.Module, multiplied: bool) -> None:
        super().__init__()
        self.inner, self.multiplied = inner, multiplied

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.inner(x)) if self.multiplied else x + self.inner(x)


class Joined(nn.Module):
    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], -1)


class Attention(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, inner) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.einsum("bic,bjc->bij", self.q(x).tanh(), self.k(x).tanh())
        weights: Tensor = torch.softmax(scores, -1) @ self.v(x)
        return weights


class LastState(nn.Module):
    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)[0][:, -1]
        return y


class Pooled(nn.Module):
    """Particles to one row: how is drawn."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "sum of the real":
            real = (x[:, :, :1].abs() > 0.1).to(x.dtype)
            return (x * real).sum(1) / (real.sum(1) + 1)
        if self.how == "largest":
            return x.topk(2, 1)[0].flatten(1)
        return x.mean(1) if self.how == "mean" else x.amax(1)


ACTIVATIONS: list[Callable[[], nn.Module]] = [
    *(nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.Softplus, nn.Mish),
    *(nn.LeakyReLU, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Softsign, nn.Identity),
]
WIDTHS = st.integers(1, 19)


def dense(draw: Draw, width: int, depth: int = 2) -> tuple[list[nn.Module], int]:
    """Layers on the last axis, and its new width."""
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, depth))):
        kind = draw(st.sampled_from(["dense"] * 3 + ["norm", "residual", "joined"]))
        if kind == "dense":
            new = draw(WIDTHS)
            layers += [nn.Linear(width, new, bias=draw(st.booleans()))]
            width = new
        elif kind == "norm" and width > 2:
            layers += [nn.LayerNorm(width)]
        elif kind == "residual":
            inner = nn.Sequential(nn.Linear(width, 7), nn.Tanh(), nn.Linear(7, width))
            layers += [Residual(inner, draw(st.booleans()))]
        elif depth > 1:
            parts = [dense(draw, width, 1) for _ in range(2)]
            layers += [Joined([nn.Sequential(*part) for part, _ in parts])]
            width = sum(new for _, new in parts)
        layers += [draw(st.sampled_from(ACTIVATIONS))()]
    return layers, width


def particles(draw: Draw, width: int) -> tuple[list[nn.Module], int]:
    layers, width = dense(draw, width)
    if draw(st.booleans()):
        new = draw(st.integers(1, 9))
        layers += [Attention(width, new)]
        width = new
    kind = draw(st.sampled_from(["mean", "max", "largest", "sum of the real", "GRU", "LSTM"]))
    if kind in ("GRU", "LSTM"):
        size, both = draw(st.integers(1, 9)), draw(st.booleans())
        layer = getattr(nn, kind)(width, size, batch_first=True, bidirectional=both)
        return [*layers, LastState(layer)], size * (2 if both else 1)
    return [*layers, Pooled(kind)], width * (2 if kind == "largest" else 1)


def picture(draw: Draw, shape: tuple[int, int, int]) -> tuple[list[nn.Module], int]:
    channels = shape[0]
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 2))):
        groups = channels if draw(st.booleans()) else 1
        new = groups * draw(st.integers(1, 5))
        length, step, pad = (
            draw(st.integers(1, 3)),
            draw(st.integers(1, 2)),
            draw(st.integers(0, 1)),
        )
        layers += [nn.Conv2d(channels, new, length, step, pad, groups=groups)]
        channels = new
        if draw(st.booleans()):
            layers += [nn.BatchNorm2d(channels)]
        layers += [draw(st.sampled_from(ACTIVATIONS))()]
        if draw(st.booleans()):
            pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
            layers += [pool(2, ceil_mode=draw(st.booleans()), padding=draw(st.integers(0, 1)))]
    layers += [nn.Flatten()]
    try:
        with torch.no_grad():
            return layers, nn.Sequential(*layers).eval()(torch.zeros(2, *shape)).shape[1]
    except RuntimeError:  # nothing is left of the picture
        assume(False)
        raise


@st.composite
def networks(draw: Draw) -> tuple[tuple[int, ...], nn.Module]:
    """The shape of an event, and a network of it."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    kind = draw(st.sampled_from(["flat", "particles", "picture"]))
    width = draw(st.integers(1, 9))
    if kind == "flat":
        shape: tuple[int, ...] = (width,)
        layers, width = dense(draw, width, 4)
    elif kind == "particles":
        shape = (draw(st.integers(2, 9)), width)
        layers, width = particles(draw, width)
    else:
        shape = (draw(st.integers(1, 4)), draw(st.integers(3, 9)), draw(st.integers(3, 9)))
        layers, width = picture(draw, shape)
    layers += dense(draw, width)[0]
    module = nn.Sequential(*layers).eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return shape, module


def inputs(shape: tuple[int, ...], heavy: bool) -> np.ndarray[Any, Any]:
    """Ordinary events, or such that have inputs of any size."""
    random = np.random.default_rng(1)
    x = random.normal(size=(max(EVENTS), *shape))
    if heavy:
        x = random.standard_cauchy(x.shape) * np.where(random.random(x.shape) < 0.2, 0, 1)
    return x.astype(np.float32)


@pytest.mark.slow
@pytest.mark.timeout(0 if MORE else 900)
@settings(
    max_examples=int(MORE or 6),
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],  # a smaller example would be compiled again and again
)
@given(networks())
def test_random_networks(
    make_contract: Callable[..., InputContract],
    make_native_float: Callable[..., CompiledRuntime],
    network: tuple[tuple[int, ...], nn.Module],
) -> None:
    shape, module = network
    engine = None
    for heavy in (False, True):
        x = inputs(shape, heavy)
        with torch.no_grad():
            single = module.float()(torch.from_numpy(x)).numpy()
            expected = module.double()(torch.from_numpy(x).double()).numpy()
        largest = np.abs(expected).max()
        assume(largest > 0)
        if not np.abs(single - expected).max() <= WELL_CONDITIONED * largest:
            continue
        engine = engine or make_native_float(
            module.float(), make_contract(*shape), expected.shape[1]
        )
        for events in EVENTS:
            error = np.abs(engine.predict(x[:events]) - expected[:events]).max()
            assert error <= TOLERANCE * largest, f"{module}: {error / largest}"
    assume(engine is not None)
