"""A network of your own: any nn.Module of the supported layers (docs/lowering.md).

`triggerforge run examples/residual.yaml --quick` takes it to firmware.
"""

from torch import Tensor, nn

from triggerforge.data.contract import InputContract


class Residual(nn.Module):
    """Dense layers with a short cut around the second one."""

    def __init__(self, contract: InputContract, n_classes: int, width: int = 32) -> None:
        super().__init__()
        self.first = nn.Linear(contract.shape[-1], width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, features) to logits (N, n_classes)."""
        hidden = self.first(x).relu()
        hidden = hidden + self.second(hidden).relu()
        logits: Tensor = self.last(hidden)
        return logits
