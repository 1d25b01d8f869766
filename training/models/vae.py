"""A dense variational autoencoder whose score needs no decoder (arXiv 2108.03986; CMS AXOL1TL)."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError
from triggerforge.training.models.blocks import dense
from triggerforge.training.models.objects import ObjectError, require_flat


class VAE(nn.Module):
    """Learns to reconstruct ordinary events from a noisy latent point N(μ, σ²) near N(0, 1).

    The score is computed from the latent point alone, so that the decoder never reaches the hardware:
    `mu2` is Σμ² (AXOL1TL, and R_z of 2108.03986 but for σ), `kl` the divergence
    ½ Σ(μ² + σ² − ln σ² − 1), which needs σ and a table of the exponential too.
    The loss is the masked error (see ObjectError, which `weights` goes to) plus `beta` times the
    divergence (arXiv 1312.6114).
    """

    def __init__(
        self,
        contract: InputContract,
        hidden: Sequence[int] = (32, 16),
        latent: int = 3,
        score: Literal["mu2", "kl"] = "mu2",
        beta: float = 0.1,
        batchnorm: bool = False,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if score not in ("mu2", "kl"):
            raise ModelError(f"no score {score!r} of a vae; choose mu2 or kl")
        inputs = require_flat(contract, "vae")
        self.score, self.beta = score, beta
        self.error = ObjectError(contract, weights or {})
        self.encoder = dense([inputs, *hidden], batchnorm=batchnorm)
        self.mu = nn.Linear(hidden[-1], latent)
        self.log_variance = nn.Linear(hidden[-1], latent)
        self.decoder = dense([latent, *reversed(hidden)], batchnorm=batchnorm, last=inputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, inputs) to the score (N, 1)."""
        latent = self.encoder(x)
        mu = self.mu(latent)
        terms = mu * mu
        if self.score == "kl":
            log_variance = self.log_variance(latent)
            terms = (terms + log_variance.exp() - log_variance - 1.0) * 0.5
        score: Tensor = terms.sum(dim=1, keepdim=True)
        return score

    def losses(self, x: Tensor) -> Tensor:
        """x (N, inputs) to the loss of each event (N,); the noise is left out in eval mode."""
        latent = self.encoder(x)
        mu, log_variance = self.mu(latent), self.log_variance(latent)
        noise = torch.randn_like(mu) if self.training else torch.zeros_like(mu)
        point = mu + noise * (0.5 * log_variance).exp()
        divergence = 0.5 * (mu.square() + log_variance.exp() - log_variance - 1).sum(dim=1)
        loss: Tensor = self.error(x, self.decoder(point)) + self.beta * divergence
        return loss
