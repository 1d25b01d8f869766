"""A normalising flow: the density of ordinary events itself, as the offline ceiling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.training.models.objects import require_flat


class Flow(nn.Module):
    """Masked autoregressive flow (arXiv 1705.07057; github.com/probabilists/zuko); score −ln p(x).

    Hardware integers and padding are points, whose density has no bound: events are blurred by
    `noise` while it trains. It has no fixed-point form: `triggerforge train` alone takes it.
    """

    def __init__(
        self,
        contract: InputContract,
        transforms: int = 4,
        hidden: Sequence[int] = (96, 96),
        noise: float = 0.05,
    ) -> None:
        super().__init__()
        import zuko

        self.noise = noise
        inputs = require_flat(contract, "flow")
        self.flow = zuko.flows.MAF(inputs, transforms=transforms, hidden_features=tuple(hidden))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, inputs) to the score (N, 1)."""
        score: Tensor = -self.flow().log_prob(x)[:, None]
        return score

    def losses(self, x: Tensor) -> Tensor:
        """x (N, inputs) to the loss of each event (N,)."""
        blurred = x + self.noise * torch.randn_like(x) if self.training else x
        loss: Tensor = self(blurred)[:, 0]
        return loss
