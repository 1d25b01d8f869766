"""A small convolutional network on jet images, sized for firmware that is unrolled entirely."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError
from triggerforge.training.models.blocks import dense, describe


class CNN(nn.Module):
    """Average pooling, 3x3 convolutions that each halve the image, and a dense head.

    `pool` joins pool x pool pixels first (the summed energy, up to a constant); then one 3x3
    convolution with stride 2 for each entry of `channels`; then `hidden` dense widths.
    With a 40x40x1 image and the defaults: 20x20x1, 10x10x4, 5x5x8, 200, 16, classes; about
    14,000 multiplications when unrolled.
    """

    def __init__(
        self,
        contract: InputContract,
        n_classes: int,
        pool: int = 2,
        channels: Sequence[int] = (4, 8),
        hidden: Sequence[int] = (16,),
        batchnorm: bool = True,
    ) -> None:
        super().__init__()
        height, width, depth = _image_shape(contract, pool * 2 ** len(channels))
        self.pool = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.convolutions = _convolutions([depth, *channels], batchnorm)
        self.flatten = nn.Flatten()
        shrink = pool * 2 ** len(channels)
        pixels = (height // shrink) * (width // shrink) * [depth, *channels][-1]
        self.head = dense([pixels, *hidden], batchnorm=batchnorm, last=n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, H, W, C) to logits (N, n_classes)."""
        image = self.pool(x.permute(0, 3, 1, 2))
        logits: Tensor = self.head(self.flatten(self.convolutions(image)))
        return logits


def _convolutions(channels: Sequence[int], batchnorm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers.append(nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if batchnorm else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _image_shape(contract: InputContract, shrink: int) -> tuple[int, int, int]:
    if len(contract.shape) != 3:
        raise ModelError(
            f"cnn needs images of shape (height, width, channels); the contract's inputs "
            f"{describe(contract)} have shape {contract.shape}: choose images as input in `data`, "
            "or another model"
        )
    height, width, depth = contract.shape
    if height % shrink or width % shrink:
        raise ModelError(
            f"a cnn that shrinks images {shrink} times does not fit {height}x{width} pixels; choose "
            "`pool` and `channels` such that pool * 2^(number of channels) divides both"
        )
    return height, width, depth
