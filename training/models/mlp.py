"""The multilayer perceptron of the hls4ml jet tagger: 16-64-32-32-5 (arXiv 1804.06913)."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.training.models.blocks import dense


class MLP(nn.Module):
    """Dense layers with ReLU on the flattened inputs.

    `hidden` holds the widths between inputs and classes; `batchnorm` puts a BatchNorm1d behind
    each of them, which is folded into the weights in fixed point.
    """

    def __init__(
        self,
        contract: InputContract,
        n_classes: int,
        hidden: Sequence[int] = (64, 32, 32),
        batchnorm: bool = False,
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten() if len(contract.shape) > 1 else nn.Identity()
        self.body = dense([prod(contract.shape), *hidden], batchnorm=batchnorm, last=n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, *shape) to logits (N, n_classes)."""
        logits: Tensor = self.body(self.flatten(x))
        return logits
