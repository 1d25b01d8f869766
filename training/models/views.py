"""Another view of a crossing that means the same to a trigger: what an embedding must not see."""

import torch
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.data.l1.layout import INPUTS, ROWS, SCALES
from triggerforge.errors import ModelError
from triggerforge.training.models.blocks import describe

_SMEARING, _LOST = 0.1, 0.1
"""spread of pT, and part of the objects that is lost: about a Level-1 trigger's"""


class CrossingViews(nn.Module):
    """Turns a crossing about the beam, mirrors it in η, smears pT and loses objects, at random.

    Raises ModelError unless the inputs are the 57 hardware integers of `l1_objects`.
    """

    period: Tensor

    def __init__(self, contract: InputContract) -> None:
        super().__init__()
        if contract.names != INPUTS:
            raise ModelError(
                f"views of a crossing need the inputs l1_objects; the contract has {describe(contract)}"
            )
        turns = [
            (SCALES[f.name].high + 1) * 2.0**-f.shift if f.name.endswith("_phi") else 0.0
            for f in contract.features
        ]
        self.register_buffer("period", torch.tensor(turns).reshape(len(ROWS), 3)[:, 2])

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x (N, 57) to another x (N, 57)."""
        rows = x.reshape(len(x), len(ROWS), 3)
        pt, eta, phi = rows.unbind(dim=2)

        def uniform(*size: int) -> Tensor:
            return torch.rand(size, generator=generator, device=x.device, dtype=x.dtype)

        events = len(x)
        turned = torch.remainder(phi + uniform(events, 1) * self.period, self.period)
        mirrored = eta * (2 * (uniform(events, 1) < 0.5).to(x.dtype) - 1)
        noise = torch.randn(pt.shape, generator=generator, device=x.device, dtype=x.dtype)
        smeared = pt * (1 + _SMEARING * noise).clamp(min=0)
        kept = (pt > 0) & (uniform(*pt.shape) >= _LOST)
        view = torch.stack([smeared, mirrored, turned], dim=2) * kept.unsqueeze(2)
        return view.reshape(x.shape)
