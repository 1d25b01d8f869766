"""What several networks share: dense stacks and pooling over particles.

Everything here is traced by torch.fx and has a fixed-point form.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log2
from typing import Literal

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError

Pool = Literal["mean", "sum", "max"]
POOLS: tuple[Pool, ...] = ("mean", "sum", "max")
VALID = "valid"


def dense(sizes: Sequence[int], *, batchnorm: bool, last: int | None = None) -> nn.Sequential:
    """Linear (+ BatchNorm1d) + ReLU for each step of `sizes`; `last` adds a plain Linear.

    (N, sizes[0]) to (N, last or sizes[-1]).
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers.append(nn.Linear(inputs, outputs))
        layers += [nn.BatchNorm1d(outputs)] if batchnorm else []
        layers.append(nn.ReLU())
    if last is not None:
        layers.append(nn.Linear(sizes[-1], last))
    return nn.Sequential(*layers)


def per_particle(sizes: Sequence[int], *, batchnorm: bool) -> nn.Sequential:
    """One dense stack with ReLU applied to every particle: (N, sizes[0], P) to (N, sizes[-1], P).

    A Conv1d of kernel 1 is that dense layer; with the features on axis 1, BatchNorm1d normalises
    each feature over events and particles.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers.append(nn.Conv1d(inputs, outputs, kernel_size=1))
        layers += [nn.BatchNorm1d(outputs)] if batchnorm else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def mean_scale(particles: int) -> float:
    """2^-k nearest to 1/P: a mean that hardware gets by moving the binary point."""
    return float(2.0 ** -round(log2(particles)))


class ParticlePool(nn.Module):
    """Pools (N, C, P) over the particles to (N, C); `mean` is sum times the 2^-k nearest to 1/P."""

    def __init__(self, pool: Pool, particles: int) -> None:
        super().__init__()
        if pool not in POOLS:
            raise ModelError(f"no pooling {pool!r}; choose one of {', '.join(POOLS)}")
        self.pool = pool
        self.scale = mean_scale(particles)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, P) to (N, C)."""
        if self.pool == "max":
            return x.amax(dim=2)
        total = x.sum(dim=2)
        return total * self.scale if self.pool == "mean" else total


def particle_shape(contract: InputContract, model: str) -> tuple[int, int]:
    """Particles and features of one event; raises ModelError where events are not (P, F)."""
    if len(contract.shape) != 2:
        raise ModelError(
            f"{model} needs events of shape (particles, features); the contract's inputs "
            f"{describe(contract)} have shape {contract.shape}: choose particles as input in "
            "`data`, or another model"
        )
    return contract.shape[0], contract.shape[1]


def has_valid(contract: InputContract) -> bool:
    """Whether the last feature is the flag `valid`: 1 where there is a particle, else 0."""
    return contract.names[-1] == VALID


def describe(contract: InputContract) -> str:
    """The contract's features for an error message."""
    shown = ", ".join(contract.names[:20])
    return f"[{shown}{', …' if len(contract.names) > 20 else ''}]"
