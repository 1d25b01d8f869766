"""Deep sets over jet constituents: particle-flow and energy-flow networks (arXiv 1810.05165).

PFN:  F( pool_i Phi(p_i) ), every feature of a particle goes into Phi.
EFN:  F( sum_i z_i Phi(phat_i) ), linear in the energy weight z_i: infrared and collinear safe.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, did_you_mean
from triggerforge.training.models.blocks import (
    VALID,
    ParticlePool,
    Pool,
    dense,
    has_valid,
    particle_shape,
    per_particle,
)


class DeepSets(nn.Module):
    """A dense stack on each particle (`phi`), pooled over particles, and a dense stack (`head`).

    `form` is "pfn" or "efn". For "efn", `energy` names the feature that weighs (linear in pT or
    energy, so its offset must be 0) and all others but `valid` are the directions; the pooling is
    then the weighted sum, times the fixed number `energy_scale`.
    Where the contract's last feature is `valid`, it multiplies every particle's features before
    pooling; else zero padding is learned.
    """

    def __init__(
        self,
        contract: InputContract,
        n_classes: int,
        form: Literal["pfn", "efn"] = "pfn",
        phi: Sequence[int] = (32, 32),
        head: Sequence[int] = (32, 32),
        pool: Pool = "mean",
        batchnorm: bool = True,
        energy: str = "pt_rel",
        energy_scale: float = 1.0,
    ) -> None:
        super().__init__()
        particles, features = particle_shape(contract, "deepsets")
        if form not in ("pfn", "efn"):
            raise ModelError(f"no form {form!r} of deepsets; choose pfn or efn")
        self.form, self.energy_scale = form, energy_scale
        self.masked = has_valid(contract) and form == "pfn"
        if form == "efn":
            self.energy = _energy_index(contract, energy)
            self.directions = _directions(contract, self.energy)
            features = len(self.directions)
        self.phi = per_particle([features, *phi], batchnorm=batchnorm)
        self.pool = ParticlePool(pool, particles)
        self.head = dense([phi[-1], *head], batchnorm=batchnorm, last=n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, P, F) to logits (N, n_classes)."""
        p = x.transpose(1, 2)
        pooled = self._efn(p) if self.form == "efn" else self._pfn(p)
        logits: Tensor = self.head(pooled)
        return logits

    def _pfn(self, p: Tensor) -> Tensor:
        latent = self.phi(p)
        if self.masked:
            latent = latent * p[:, -1:, :]
        pooled: Tensor = self.pool(latent)
        return pooled

    def _efn(self, p: Tensor) -> Tensor:
        energy = p[:, self.energy : self.energy + 1, :]
        parts = [p[:, i : i + 1, :] for i in self.directions]
        latent = self.phi(torch.cat(parts, dim=1))
        pooled: Tensor = (latent * energy).sum(dim=2) * self.energy_scale
        return pooled


def _energy_index(contract: InputContract, energy: str) -> int:
    if energy not in contract.names:
        raise ModelError(
            f"the EFN's energy weight {energy!r} is no input; {did_you_mean(energy, contract.names)}"
        )
    index = contract.names.index(energy)
    if contract.features[index].offset != 0 or contract.features[index].padding != 0:
        raise ModelError(
            f"the EFN's energy weight {energy!r} has offset {contract.features[index].offset} and "
            f"padding {contract.features[index].padding} in the input contract; both must be 0, "
            "or the network is not linear in the energy"
        )
    return index


def _directions(contract: InputContract, energy: int) -> list[int]:
    names = contract.names
    return [i for i in range(len(names)) if i != energy and names[i] != VALID]
