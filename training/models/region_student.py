"""A small network on calorimeter maps, for firmware: the student of CMS CICADA."""

from collections.abc import Sequence

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError
from triggerforge.training.models.blocks import dense
from triggerforge.training.models.regions import require_map


class RegionStudent(nn.Module):
    """`channels` functions of each region, summed around φ, and dense layers: 18x14, 14x4, 16, 1.

    What a teacher sums over regions, this sums too: at the same η a deposit counts as much at any φ.
    `kernel` regions by as many share the functions. With kernel 2 and sum_phi false it is the network of
    github.com/cms-hls4ml/CICADA, version 2.2: 18x14, 9x7x4, 16, 1. It learns from a teacher
    (`train.teacher`), or, with as many outputs as there are classes, from labels.

    Raises ModelError if the map is no (phi, eta, channels), or the kernel does not divide its sides.
    """

    def __init__(
        self,
        contract: InputContract,
        n_classes: int,
        channels: int = 4,
        hidden: Sequence[int] = (16,),
        kernel: int = 1,
        sum_phi: bool = True,
    ) -> None:
        super().__init__()
        height, width, depth = require_map(contract, "region_student")
        if kernel < 1 or height % kernel or width % kernel:
            raise ModelError(
                f"model 'region_student': kernel {kernel} does not divide the map of {height}x{width} "
                "regions; choose one that divides both sides"
            )
        self.sum_phi = sum_phi
        self.convolution = nn.Sequential(
            nn.Conv2d(depth, channels, kernel, stride=kernel), nn.ReLU()
        )
        self.flatten = nn.Flatten()
        rows = 1 if sum_phi else height // kernel
        inputs = channels * rows * (width // kernel)
        self.head = dense([inputs, *hidden], batchnorm=False, last=n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, phi, eta, C) to (N, n_classes)."""
        found = self.convolution(x.permute(0, 3, 1, 2))
        if self.sum_phi:
            found = found.sum(dim=2)
        outputs: Tensor = self.head(self.flatten(found))
        return outputs
