"""JEDI-linear: an interaction network whose cost grows linearly with the particles (2508.15468).

An interaction network sums a message over all pairs of particles, O(P^2). Where the message is
linear in the pair, the sum over senders is the same for every receiver: one pooled message,
computed once and broadcast. Layers as in the authors' repository, calad0i/JEDI-linear.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.training.models.blocks import (
    ParticlePool,
    Pool,
    dense,
    has_valid,
    particle_shape,
    per_particle,
)


class JediLinear(nn.Module):
    """Per-particle embedding, shared global message added to each particle, pooling, dense head.

    `width` is the number of features of a particle inside, `head` the widths behind the pooling.
    The global message pools with a mean (2^-k). Where the contract's last feature is `valid`,
    it multiplies every particle's features before pooling; else zero padding is learned.
    """

    def __init__(
        self,
        contract: InputContract,
        n_classes: int,
        width: int = 64,
        head: Sequence[int] = (64, 32, 16),
        pool: Pool = "mean",
        batchnorm: bool = True,
    ) -> None:
        super().__init__()
        particles, features = particle_shape(contract, "jedi_linear")
        self.masked = has_valid(contract)
        self.embed = per_particle([features, width], batchnorm=batchnorm)
        self.own = per_particle([width, width], batchnorm=batchnorm)
        self.message_pool = ParticlePool("mean", particles)
        self.message = dense([width, width], batchnorm=batchnorm)
        self.combine = per_particle([width, width], batchnorm=batchnorm)
        self.pool = ParticlePool(pool, particles)
        self.head = dense([width, *head], batchnorm=batchnorm, last=n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, P, F) to logits (N, n_classes)."""
        p = x.transpose(1, 2)
        nodes = self._masked(self.embed(p), p)
        message = self.message(self.message_pool(nodes)).unsqueeze(2)
        nodes = self.combine(self.own(nodes) + message)
        logits: Tensor = self.head(self.pool(self._masked(nodes, p)))
        return logits

    def _masked(self, nodes: Tensor, p: Tensor) -> Tensor:
        return nodes * p[:, -1:, :] if self.masked else nodes
