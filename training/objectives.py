"""What a training makes small: the cross-entropy, a network's own loss, the distance to a teacher."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from triggerforge.errors import ModelError
from triggerforge.training.tensors import Tensors

_LEAST_SPREAD = 1e-6
"""of a logarithm: less is the rounding of float32"""


class Objective(Protocol):
    """Losses of a batch; N events."""

    def losses(self, module: nn.Module, batch: Tensors) -> tuple[Tensor, Tensor | None]:
        """The loss of each event (N,), and whether it was answered rightly (N,), if that is known."""


@dataclass(frozen=True)
class Classification:
    """Cross-entropy with the labels; `smoothing` counts while the module is in training mode."""

    smoothing: float

    def losses(self, module: nn.Module, batch: Tensors) -> tuple[Tensor, Tensor | None]:
        """See Objective."""
        logits = module(batch.x).float()
        smoothing = self.smoothing if module.training else 0.0
        losses = functional.cross_entropy(
            logits, batch.y, reduction="none", label_smoothing=smoothing
        )
        return losses, logits.argmax(dim=1) == batch.y


@dataclass(frozen=True)
class Unsupervised:
    """The network's own `losses(x)`: it says what an ordinary event costs."""

    def losses(self, module: nn.Module, batch: Tensors) -> tuple[Tensor, Tensor | None]:
        """See Objective."""
        own: Tensor = module.losses(batch.x)  # type: ignore[operator]
        return own.float(), None


@dataclass(frozen=True)
class Imitation:
    """Squared distance to the targets that `LogScore` makes of a teacher's score."""

    def losses(self, module: nn.Module, batch: Tensors) -> tuple[Tensor, Tensor | None]:
        """See Objective."""
        return (module(batch.x).float()[:, 0] - batch.y).square(), None


@dataclass(frozen=True)
class LogScore:
    """The logarithm of a positive score, shifted and stretched to mean 0 and spread 1.

    A score that is learned in the end by a handful of bits has to have a range of a few units;
    CICADA's student learns the logarithm too (arXiv 2411.11678).
    """

    mean: float
    spread: float

    @classmethod
    def of(cls, score: NDArray[np.float32], weight: NDArray[np.float32]) -> Self:
        """From scores and weights (N,) of events; raises ModelError if the score is a constant."""
        logarithm = _logarithm(score)
        mean = float(np.average(logarithm, weights=weight))
        spread = float(np.sqrt(np.average((logarithm - mean) ** 2, weights=weight)))
        if not np.isfinite(spread) or spread < _LEAST_SPREAD:
            raise ModelError(
                f"the teacher's score spreads by {spread} about {mean:g} in the logarithm, so it "
                "tells no two events apart; train it longer, or give it another latent width"
            )
        return cls(mean, spread)

    def __call__(self, score: NDArray[np.float32]) -> NDArray[np.float32]:
        """Targets (N,) for scores (N,)."""
        found: NDArray[np.float32] = ((_logarithm(score) - self.mean) / self.spread).astype(
            np.float32
        )
        return found


def _logarithm(score: NDArray[np.float32]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log(np.maximum(score.astype(np.float64), 1e-12))
    return found
