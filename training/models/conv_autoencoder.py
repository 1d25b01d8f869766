"""A convolutional autoencoder of calorimeter maps: the teacher of CMS CICADA."""

from collections.abc import Sequence

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.training.models.regions import require_map


class ConvAutoencoder(nn.Module):
    """Reconstructs ordinary maps; the score is the mean squared error.

    Two 3x3 convolutions of `channels`, one average pooling between them, a dense layer of width
    `latent`, and the way back. With 18x14 maps about a million multiplications: too many for
    firmware that is unrolled, so `region_student` learns its score (after CICADA,
    github.com/cms-hls4ml/CICADA; sizes from its description in arXiv 2411.11678).
    """

    def __init__(
        self, contract: InputContract, channels: Sequence[int] = (20, 30), latent: int = 80
    ) -> None:
        super().__init__()
        height, width, depth = require_map(contract, "conv_autoencoder")
        first, second = channels
        small = (second, height // 2, width // 2)
        pixels = second * small[1] * small[2]
        self.encoder = nn.Sequential(
            nn.Conv2d(depth, first, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(pixels, latent),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, pixels),
            nn.ReLU(),
            nn.Unflatten(1, small),
            nn.Conv2d(second, first, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(first, depth, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (N, H, W, C) to the score (N, 1)."""
        image = x.permute(0, 3, 1, 2)
        difference = image - self.decoder(self.encoder(image))
        score: Tensor = (difference * difference).flatten(1).mean(dim=1, keepdim=True)
        return score

    def losses(self, x: Tensor) -> Tensor:
        """x (N, H, W, C) to the loss of each event (N,)."""
        loss: Tensor = self(x)[:, 0]
        return loss
