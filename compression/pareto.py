"""The Pareto front of (validation accuracy, EBOPs), and the choice of one of its members."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from triggerforge.config.compress import TargetConfig
from triggerforge.errors import BudgetError


@dataclass(frozen=True)
class Candidate:
    """One epoch's model."""

    accuracy: float
    """on the validation events, 0..1; of a score, the overlap with the float model (see goal.py)"""
    ebops: float
    """effective bit operations, after calibration of the integer bits (HGQ, arXiv 2405.00645)"""
    epoch: int

    def dominates(self, other: "Candidate") -> bool:
        """Whether it is at least as good in both, so that `other` is of no use beside it."""
        return self.accuracy >= other.accuracy and self.ebops <= other.ebops

    def to_dict(self) -> dict[str, Any]:
        """A form that JSON can hold."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.2f} % at {self.ebops:.0f} EBOPs (epoch {self.epoch})"


def add(front: Sequence[Candidate], new: Candidate) -> tuple[Candidate, ...]:
    """The front after `new`, by falling EBOPs; the same front if `new` is dominated by a member."""
    if any(member.dominates(new) for member in front):
        return tuple(front)
    kept = [member for member in front if not new.dominates(member)]
    return tuple(sorted([*kept, new], key=lambda c: -c.ebops))


@dataclass(frozen=True)
class Choice:
    """What was taken from the front, and what it fails to meet."""

    candidate: Candidate
    missed: str = ""
    """empty where the target is met; else a sentence for the error"""


def choose(front: Sequence[Candidate], target: TargetConfig, accuracy: float) -> Choice:
    """The member of `front` that meets `target`; where none does, the nearest, with the reason.

    `accuracy` is the float model's on the same validation events, 0..1 (of a score, 1).

    Raises BudgetError if the front is empty.
    """
    if not front:
        raise BudgetError("no epoch was evaluated, so there is nothing to choose from; train more")
    if target.max_ebops is None and target.max_accuracy_loss is None:
        return Choice(max(front, key=lambda c: _balance(c, target)))
    fitting = [c for c in front if _excess(c, target, accuracy) <= 0]
    if not fitting:
        nearest = min(front, key=lambda c: _excess(c, target, accuracy))
        return Choice(nearest, _missed(nearest, target, accuracy))
    if target.max_accuracy_loss is None:
        return Choice(max(fitting, key=lambda c: c.accuracy))
    return Choice(min(fitting, key=lambda c: c.ebops))


def _balance(candidate: Candidate, target: TargetConfig) -> float:
    halvings = math.log2(max(candidate.ebops, 1.0))
    return 100 * candidate.accuracy - target.points_per_halving * halvings


def _excess(candidate: Candidate, target: TargetConfig, accuracy: float) -> float:
    """How far outside the target, in points of accuracy; 0 or less if it is met.

    EBOPs too many are turned into points by `points_per_halving`.
    """
    excess = []
    if target.max_ebops is not None:
        halvings = math.log2(max(candidate.ebops, 1.0) / target.max_ebops)
        excess.append(target.points_per_halving * halvings)
    if target.max_accuracy_loss is not None:
        excess.append(100 * (accuracy - candidate.accuracy) - target.max_accuracy_loss)
    return max(excess)


def _missed(nearest: Candidate, target: TargetConfig, accuracy: float) -> str:
    asked = []
    if target.max_ebops is not None:
        asked.append(f"max_ebops {target.max_ebops:g}")
    if target.max_accuracy_loss is not None:
        asked.append(f"max_accuracy_loss {target.max_accuracy_loss:g} points")
    return (
        f"no epoch met the target {' and '.join(asked)} (float model: {100 * accuracy:.2f} %); the "
        f"nearest is {nearest}. Loosen compress.target, train for more epochs, or move "
        "compress.beta_end (larger: fewer EBOPs)"
    )
