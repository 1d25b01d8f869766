"""An autoencoder in an embedding that is learned from views: the form of CMS AXOL1TL v5."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from triggerforge.data.contract import InputContract
from triggerforge.training.models.blocks import dense
from triggerforge.training.models.objects import require_flat
from triggerforge.training.models.views import CrossingViews

_SMALL = 1e-4


class EmbeddingAutoencoder(nn.Module):
    """57-29-10, then 10-9-6-4-6-9-10; the score is the squared error in the embedding.

    The embedding is trained by VICReg (arXiv 2105.04906): two views of a crossing come close
    (`invariance`), every component keeps a spread of 1 over the batch (`variance`), components are
    not correlated (`covariance`). The autoencoder learns from embedded crossings, and does not pull
    at the embedding. Sizes as in github.com/cms-hls4ml/AXOL1TL, version 5.
    """

    def __init__(
        self,
        contract: InputContract,
        embedding: Sequence[int] = (29, 10),
        hidden: Sequence[int] = (9, 6),
        latent: int = 4,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__()
        inputs = require_flat(contract, "embedding_autoencoder")
        *before, width = embedding
        self.invariance, self.variance, self.covariance = invariance, variance, covariance
        self.views = CrossingViews(contract)
        self.embed = dense([inputs, *before], batchnorm=False, last=width)
        self.encoder = dense([width, *hidden], batchnorm=False, last=latent)
        self.decoder = dense([latent, *reversed(hidden)], batchnorm=False, last=width)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 57) to the score (N, 1)."""
        embedded = self.embed(x)
        difference = embedded - self.decoder(self.encoder(embedded))
        score: Tensor = (difference * difference).sum(dim=1, keepdim=True)
        return score

    def losses(self, x: Tensor) -> Tensor:
        """x (N, 57) to the loss of each event (N,); spread and correlations are the batch's."""
        generator = None if self.training else torch.Generator(x.device).manual_seed(0)
        one, other = (self.embed(self.views(x, generator)) for _ in range(2))
        apart = (one - other).square().mean(dim=1)
        shared = sum(
            self.variance * _too_narrow(z) + self.covariance * _correlated(z) for z in (one, other)
        )
        with torch.no_grad():
            embedded = self.embed(x)
        rebuilt = (embedded - self.decoder(self.encoder(embedded))).square().sum(dim=1)
        loss: Tensor = self.invariance * apart + shared + rebuilt
        return loss


def _too_narrow(z: Tensor) -> Tensor:
    """How far the spread of each component of (N, D) falls short of 1, on average."""
    return functional.relu(1 - (z.var(dim=0, correction=0) + _SMALL).sqrt()).mean()


def _correlated(z: Tensor) -> Tensor:
    """The squared covariances of different components of (N, D), summed, over D."""
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / max(len(z) - 1, 1)
    squares = covariance.square()
    return (squares.sum() - squares.diagonal().sum()) / z.shape[1]
