"""A small network on calorimeter maps, for firmware: the student of CMS CICADA."""

from collections.abc import Sequence

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.training.models.blocks import dense
from triggerforge.training.models.regions import require_map


class RegionStudent(nn.Module):
    """A 2x2 convolution that halves the map, and dense layers: 18x14, 9x7x4, 16, 1 by default.

    Sizes of github.com/cms-hls4ml/CICADA, version 2.2. It learns from a teacher (`train.teacher`),
    or, with as many outputs as there are classes, from labels.
    """

    def __init__(
        self,
        contract: InputContract,
        n_classes: int,
        channels: int = 4,
        hidden: Sequence[int] = (16,),
    ) -> None:
        super().__init__()
        height, width, depth = require_map(contract, "region_student")
        self.convolution = nn.Sequential(nn.Conv2d(depth, channels, 2, stride=2), nn.ReLU())
        self.flatten = nn.Flatten()
        pixels = channels * (height // 2) * (width // 2)
        self.head = dense([pixels, *hidden], batchnorm=False, last=n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, H, W, C) to (N, n_classes)."""
        outputs: Tensor = self.head(self.flatten(self.convolution(x.permute(0, 3, 1, 2))))
        return outputs
