"""Every form of a network that has a fixed-point twin, with one small network of each.

docs/lowering.md's table is made of this list (`python -m triggerforge.compression.forms`), and the tests
take every network of it through all rooms: saved, loaded, ONNX, native, hls4ml, RTL.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from triggerforge.border import answer, by_words
from triggerforge.runfolder import write_atomic

Shape = tuple[int, ...]
Network = tuple[Shape, Callable[[], nn.Module]]
"""shape of an event, and what builds the module"""
V, P, IMG = (6,), (4, 3), (8, 6, 2)
_EINSUM = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))
_TABLES = (
    *(torch.tanh, functional.silu, functional.relu6, functional.softplus),
    *(functional.softsign, functional.hardsigmoid, functional.hardswish),
)


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


class Scaled(nn.Module):
    """An argument of `forward` that keeps its default."""

    def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
        """x times the default."""
        return x * scale


@dataclass(frozen=True)
class Row:
    """A line of the table: operations of torch, and what becomes of them."""

    torch: str
    becomes: str
    networks: dict[str, Network]


ROWS: tuple[Row, ...] = (
    Row(
        "`Linear`, `Conv1d/2d` (stride, padding; groups, whose zeros cost no bits), `x @ W`, `einsum` with a constant",
        "`QDense`, `QConv1D/2D`, `QEinsumDense`; `Conv` of kernel 1 is a `QDense`",
        {
            "linear": (V, lambda: nn.Linear(6, 3)),
            "linear-no-bias": (V, lambda: nn.Linear(6, 3, bias=False)),
            "linear-per-particle": (P, lambda: nn.Linear(3, 5)),
            "linear-function": (
                V,
                lambda: Fn(
                    lambda x, m: nn.functional.linear(x, m.lin.weight, m.lin.bias),
                    lin=nn.Linear(6, 3),
                ),
            ),
            "conv1d": (P, lambda: nn.Conv1d(4, 5, 2)),
            "conv1d-padding": (P, lambda: nn.Conv1d(4, 5, 3, padding=1)),
            "conv1d-strided": (P, lambda: nn.Conv1d(4, 5, 2, stride=2)),
            "conv1d-kernel-1": (
                P,
                lambda: nn.Sequential(nn.Conv1d(4, 5, 1), nn.BatchNorm1d(5), nn.ReLU()),
            ),
            "conv1d-kernel-1-padding": (P, lambda: nn.Conv1d(4, 5, 1, padding=1)),
            "conv2d": (
                IMG,
                lambda: Fn(lambda x, m: m.c(x.permute(0, 3, 1, 2)), c=nn.Conv2d(2, 3, 3)),
            ),
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
            "conv2d-one-sided": (
                IMG,
                lambda: Fn(
                    lambda x, m: m.c(x.permute(0, 3, 1, 2)),
                    c=nn.Conv2d(2, 3, 3, stride=(2, 1), padding=(0, 2)),
                ),
            ),
            "conv2d-wide-padding": (
                IMG,
                lambda: Fn(
                    lambda x, m: m.c(x.permute(0, 3, 1, 2)),
                    c=nn.Conv2d(2, 3, 3, padding=2, bias=False),
                ),
            ),
            "conv2d-groups": (
                IMG,
                lambda: Fn(lambda x, m: m.c(x.permute(0, 3, 1, 2)), c=nn.Conv2d(2, 4, 3, groups=2)),
            ),
            "matmul-constant": (P, lambda: Fn(lambda x, m: x @ _EINSUM)),
            "einsum-constant": (
                P,
                lambda: Fn(lambda x, m: torch.einsum("npf,fg->ngp", x, _EINSUM)),
            ),
            "einsum-summed-constant": (
                P,
                lambda: Fn(lambda x, m: torch.einsum("npf,fg->np", x, _EINSUM)),
            ),
        },
    ),
    Row(
        "`BatchNorm1d/2d`, `x * c + d`, `/ c`, `-x`",
        "folded into the weights before, or the dense layer after; where there is neither, a diagonal `QEinsumDense`",
        {
            "batchnorm-after": (
                V,
                lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU()),
            ),
            "batchnorm-before": (V, lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4))),
            "batchnorm-alone": (V, lambda: nn.BatchNorm1d(6)),
            "batchnorm-2d": (
                IMG,
                lambda: Fn(
                    lambda x, m: m.bn(x.permute(0, 3, 1, 2)).flatten(1), bn=nn.BatchNorm2d(2)
                ),
            ),
            "batchnorm-after-relu": (
                V,
                lambda: nn.Sequential(
                    nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 3)
                ),
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
                lambda: Fn(
                    lambda x, m: m.bn(y := m.lin(x)) + y, lin=nn.Linear(6, 4), bn=nn.BatchNorm1d(4)
                ),
            ),
            "scalars": (V, lambda: Fn(lambda x, m: 1.5 - (x * 0.75 + 0.25) / 2)),
            "negative": (V, lambda: Fn(lambda x, m: -x)),
            "constant-vector": (V, lambda: Fn(lambda x, m: x * torch.arange(1.0, 7.0) - 1)),
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
                lambda: Fn(
                    lambda x, m: m.lin(x[:, :1] * torch.arange(1.0, 7.0)), lin=nn.Linear(6, 3)
                ),
            ),
            "constant-widens-linear": (
                V,
                lambda: Fn(lambda x, m: m.lin(x) * torch.arange(1.0, 7.0), lin=nn.Linear(6, 1)),
            ),
            "default-argument": (V, lambda: Scaled()),
        },
    ),
    Row(
        "`relu`",
        "joins the layer before it",
        {
            "relu": (V, lambda: nn.ReLU()),
            "relu-twice": (V, lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.ReLU())),
            "relu-in-place": (V, lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(inplace=True))),
        },
    ),
    Row(
        "`tanh sigmoid gelu silu elu leaky_relu relu6 hardtanh hardsigmoid hardswish softplus softsign exp`",
        "a table, `QUnaryFunctionLUT`",
        {
            "tanh": (V, lambda: nn.Tanh()),
            "sigmoid": (V, lambda: Fn(lambda x, m: torch.sigmoid(x))),
            "sigmoid-module": (V, lambda: nn.Sigmoid()),
            "gelu": (V, lambda: nn.GELU()),
            "gelu-function": (
                V,
                lambda: Fn(lambda x, m: nn.functional.gelu(x, approximate="tanh")),
            ),
            "gelu-tanh": (V, lambda: nn.GELU("tanh")),
            "silu": (V, lambda: nn.SiLU()),
            "elu": (V, lambda: nn.ELU()),
            "elu-function": (V, lambda: Fn(lambda x, m: nn.functional.elu(x))),
            "leaky-relu": (V, lambda: nn.LeakyReLU(0.1)),
            "leaky-relu-function": (V, lambda: Fn(lambda x, m: nn.functional.leaky_relu(x, 0.2))),
            "relu6": (V, lambda: nn.ReLU6()),
            "hardtanh": (V, lambda: nn.Hardtanh()),
            "hardtanh-function": (V, lambda: Fn(lambda x, m: nn.functional.hardtanh(x))),
            "hardsigmoid": (V, lambda: nn.Hardsigmoid()),
            "hardswish": (V, lambda: nn.Hardswish()),
            "softplus": (V, lambda: nn.Softplus()),
            "softsign": (V, lambda: nn.Softsign()),
            "table-functions": (V, lambda: Fn(lambda x, m: torch.cat([f(x) for f in _TABLES], 1))),
            "exp": (V, lambda: Fn(lambda x, m: torch.exp(x))),
        },
    ),
    Row(
        "`softmax`",
        "`QSoftmax`: tables of exp and of 1/x",
        {
            "softmax": (V, lambda: nn.Softmax(dim=-1)),
            "softmax-particles": (P, lambda: Fn(lambda x, m: torch.softmax(x, dim=1))),
            "softmax-between": (
                V,
                lambda: nn.Sequential(nn.Linear(6, 4), nn.Softmax(-1), nn.Linear(4, 3)),
            ),
            "attention": (
                P,
                lambda: Fn(
                    lambda x, m: torch.softmax(m.q(x) @ m.k(x).transpose(1, 2), dim=-1) @ m.v(x),
                    q=nn.Linear(3, 2),
                    k=nn.Linear(3, 2),
                    v=nn.Linear(3, 2),
                ),
            ),
        },
    ),
    Row(
        "`+ - *`, `maximum minimum` (of two tensors, or with a constant), `x ** 2`, `einsum` and `@` of two tensors",
        "`QAdd QSubtract QMultiply QMaximum QMinimum QEinsum`; shapes may broadcast",
        {
            "add": (V, lambda: Fn(lambda x, m: x + m.lin(x), lin=nn.Linear(6, 6))),
            "sub": (V, lambda: Fn(lambda x, m: m.lin(x) - x, lin=nn.Linear(6, 6))),
            "mul": (V, lambda: Fn(lambda x, m: x * m.lin(x), lin=nn.Linear(6, 6))),
            "square-function": (V, lambda: Fn(lambda x, m: torch.square(x))),
            "square": (V, lambda: Fn(lambda x, m: x**2)),
            "squared-sum": (
                V,
                lambda: nn.Sequential(nn.Linear(6, 4), Fn(lambda x, m: x**2), nn.Linear(4, 2)),
            ),
            "maximum": (
                V,
                lambda: Fn(lambda x, m: torch.maximum(x, m.lin(x)), lin=nn.Linear(6, 6)),
            ),
            "minimum": (
                V,
                lambda: Fn(lambda x, m: torch.minimum(x, m.lin(x)), lin=nn.Linear(6, 6)),
            ),
            "maximum-constant": (
                V,
                lambda: Fn(lambda x, m: torch.maximum(x, torch.full((6,), 0.25))),
            ),
            "minimum-constant": (V, lambda: Fn(lambda x, m: torch.minimum(torch.arange(6.0), x))),
            "max-constant": (V, lambda: Fn(lambda x, m: torch.max(x, torch.tensor(0.5)))),
            "mask": (
                P,
                lambda: Fn(lambda x, m: (m.lin(x) * x[..., -1:]).sum(1), lin=nn.Linear(3, 5)),
            ),
            "mask-transposed": (
                P,
                lambda: Fn(
                    lambda x, m: (m.c(y := x.transpose(1, 2)) * y[:, -1:, :]).sum(2),
                    c=nn.Conv1d(3, 5, 1),
                ),
            ),
            "flat-mask": (
                V,
                lambda: Fn(lambda x, m: torch.relu(m.a(x)) * x[..., -1:], a=nn.Linear(6, 5)),
            ),
            "broadcast-add": (
                P,
                lambda: Fn(
                    lambda x, m: m.a(x) + m.b(x.mean(1)).unsqueeze(1),
                    a=nn.Linear(3, 5),
                    b=nn.Linear(3, 5),
                ),
            ),
            "new-axis": (V, lambda: Fn(lambda x, m: (x[:, None, :] * x[:, :, None]).sum(2))),
            "einsum": (P, lambda: Fn(lambda x, m: torch.einsum("npf,npg->nfg", x, x))),
            "matmul": (P, lambda: Fn(lambda x, m: x @ x.transpose(1, 2))),
        },
    ),
    Row(
        "`sum`, `mean`, `amax`, `max` over axes of an event",
        "a product with fixed powers of two; `QGlobalMaxPooling1D`",
        {
            "sum": (P, lambda: Fn(lambda x, m: x.sum(dim=1))),
            "sum-keepdim": (P, lambda: Fn(lambda x, m: x - x.sum(dim=1, keepdim=True))),
            "mean": (P, lambda: Fn(lambda x, m: x.mean(dim=1))),
            "mean-of-3": (P, lambda: Fn(lambda x, m: x.mean(dim=(2,)))),
            "scaled-sum": (P, lambda: Fn(lambda x, m: x.sum(dim=1) * 0.125)),
            "max-over-particles": (P, lambda: Fn(lambda x, m: x.max(dim=1).values)),
            "max-index": (P, lambda: Fn(lambda x, m: x.max(dim=1)[0])),
            "amax-keepdim": (P, lambda: Fn(lambda x, m: x.amax(dim=2, keepdim=True))),
            "axis-keyword": (
                P,
                lambda: Fn(
                    lambda x, m: torch.cat([x, x.sum(axis=1)[:, None]], axis=1)  # type: ignore[call-arg]
                ),
            ),
        },
    ),
    Row(
        "`MaxPool`, `AvgPool` (2^k pixels), `AdaptiveAvgPool(1)`, `AdaptiveMaxPool(1)`",
        "`QMaxPooling`, `QAveragePooling`, sum, max",
        {
            "max-pool": (
                IMG,
                lambda: Fn(lambda x, m: m.p(x.permute(0, 3, 1, 2)), p=nn.MaxPool2d(2)),
            ),
            "avg-pool": (
                IMG,
                lambda: Fn(lambda x, m: m.p(x.permute(0, 3, 1, 2)).flatten(1), p=nn.AvgPool2d(2)),
            ),
            "max-pool-1d": (P, lambda: Fn(lambda x, m: m.p(x.transpose(1, 2)), p=nn.MaxPool1d(2))),
            "avg-pool-1d": (P, lambda: Fn(lambda x, m: m.p(x.transpose(1, 2)), p=nn.AvgPool1d(2))),
            "adaptive-avg": (
                IMG,
                lambda: Fn(
                    lambda x, m: m.p(x.permute(0, 3, 1, 2)).flatten(1), p=nn.AdaptiveAvgPool2d(1)
                ),
            ),
            "adaptive-avg-1d": (
                P,
                lambda: Fn(lambda x, m: m.p(x.transpose(1, 2)), p=nn.AdaptiveAvgPool1d(1)),
            ),
            "adaptive-max": (
                P,
                lambda: Fn(
                    lambda x, m: m.p(x.transpose(1, 2)).squeeze(2), p=nn.AdaptiveMaxPool1d(1)
                ),
            ),
            "adaptive-max-2d": (
                IMG,
                lambda: Fn(
                    lambda x, m: m.p(x.permute(0, 3, 1, 2)).flatten(1), p=nn.AdaptiveMaxPool2d(1)
                ),
            ),
        },
    ),
    Row(
        "`reshape view flatten squeeze unsqueeze permute transpose cat stack chunk split expand`, slices",
        "wires: `Reshape`, `Permute`, `Concatenate`, a product with zeros and ones",
        {
            "expand": (P, lambda: Fn(lambda x, m: x[:, :1].expand(-1, 4, -1) + x)),
            "expand-as": (P, lambda: Fn(lambda x, m: x[:, :1].expand_as(x) + x)),
            "cat": (
                V,
                lambda: Fn(lambda x, m: torch.cat([m.lin(x), x], dim=1), lin=nn.Linear(6, 2)),
            ),
            "cat-particles": (
                P,
                lambda: Fn(
                    lambda x, m: torch.cat([x.transpose(1, 2), m.c(x).transpose(1, 2)], 1),
                    c=nn.Linear(3, 2),
                ),
            ),
            "cat-slices": (
                P,
                lambda: Fn(lambda x, m: torch.cat([x[..., 2:3], x[..., 0:1]], dim=-1)),
            ),
            "cat-of-an-input-slice": (
                V,
                lambda: Fn(lambda x, m: torch.cat([m.a(x), x[:, :2]], 1), a=nn.Linear(6, 2)),
            ),
            "stack": (V, lambda: Fn(lambda x, m: torch.stack([x[:, :3], x[:, 3:]], dim=1).sum(1))),
            "chunk": (V, lambda: Fn(lambda x, m: (c := x.chunk(2, dim=1))[0] * c[1])),
            "split": (V, lambda: Fn(lambda x, m: torch.split(x, [2, 4], dim=1)[1])),
            "select": (P, lambda: Fn(lambda x, m: x[:, 1])),
            "sliced-output": (V, lambda: Fn(lambda x, m: x[:, 1:4])),
            "slice-step": (V, lambda: Fn(lambda x, m: x[:, ::2])),
            "reshape": (
                P,
                lambda: Fn(lambda x, m: m.lin(x.reshape(x.shape[0], -1)), lin=nn.Linear(12, 3)),
            ),
            "flatten": (P, lambda: nn.Sequential(nn.Linear(3, 2), nn.Flatten())),
            "unflatten": (V, lambda: Fn(lambda x, m: x.unflatten(1, (2, 3)).sum(1))),
            "swapaxes": (
                P,
                lambda: Fn(lambda x, m: m.lin(x.swapaxes(1, 2)).flatten(1), lin=nn.Linear(4, 2)),
            ),
            "view-transpose": (P, lambda: Fn(lambda x, m: x.transpose(1, 2).reshape(-1, 12))),
        },
    ),
    Row(
        "`Dropout`, `Identity`, `contiguous`, …",
        "nothing",
        {
            "identity": (V, lambda: nn.Identity()),
            "dropout": (V, lambda: nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5))),
            "dropout-function": (
                V,
                lambda: Fn(
                    lambda x, m: nn.functional.dropout(m.lin(x), 0.5, training=False),
                    lin=nn.Linear(6, 3),
                ),
            ),
            "to-float": (V, lambda: Fn(lambda x, m: x.to(torch.float32) * 2)),
        },
    ),
)
NETWORKS: dict[str, Network] = {name: net for row in ROWS for name, net in row.networks.items()}

_BEGIN, _END = "<!-- forms: made by python -m triggerforge.compression.forms -->", "<!-- /forms -->"
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "lowering.md"


def _lines() -> Iterator[str]:
    yield "| torch | becomes | networks that are tested |"
    yield "|---|---|---|"
    for row in ROWS:
        yield f"| {row.torch} | {row.becomes} | {', '.join(row.networks)} |"


def with_table(document: str) -> str:
    """The text of docs/lowering.md with the table of this list in its place."""
    before, rest = document.split(_BEGIN)
    after = rest.split(_END)[1]
    return "\n".join([before + _BEGIN, *_lines(), "", f"({len(NETWORKS)} networks.)", _END]) + after


def main() -> None:
    """Writes the table into the document."""
    write_atomic(DOCUMENT, with_table(DOCUMENT.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(
        answer(
            by_words(main, main.__doc__, "triggerforge.compression.forms"),
            "triggerforge.compression.forms",
        )
    )
