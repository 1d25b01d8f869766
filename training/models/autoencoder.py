"""The dense autoencoder 57-32-16-3-16-32-57 of arXiv 2108.03986, with its score in the network."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.training.models.blocks import dense
from triggerforge.training.models.objects import ObjectError, require_flat


class Autoencoder(nn.Module):
    """Reconstructs ordinary events; the score is how badly it does.

    `hidden` holds the widths down to `latent`; the way back mirrors them. Loss and score leave padding
    out (see ObjectError, which `weights` goes to).
    """

    def __init__(
        self,
        contract: InputContract,
        hidden: Sequence[int] = (32, 16),
        latent: int = 3,
        batchnorm: bool = False,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        inputs = require_flat(contract, "autoencoder")
        self.error = ObjectError(contract, weights or {})
        self.encoder = dense([inputs, *hidden], batchnorm=batchnorm, last=latent)
        self.decoder = dense([latent, *reversed(hidden)], batchnorm=batchnorm, last=inputs)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, inputs) to the score (N, 1), the weighted squared error."""
        return self.error.in_hardware(x, self.decoder(self.encoder(x)))

    def losses(self, x: Tensor) -> Tensor:
        """x (N, inputs) to the loss of each event (N,)."""
        loss: Tensor = self.error(x, self.decoder(self.encoder(x)))
        return loss
