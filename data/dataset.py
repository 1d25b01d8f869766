"""The data set that flows through training, compression and validation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract
from triggerforge.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """Events as a network sees them. N events, inputs of shape `contract.shape`.

    Raises DataError if lengths differ, if the shape is not the contract's, if a label is outside
    the classes, or if an input or a weight is NaN or infinite (with the count and the first entry).
    """

    x: NDArray[np.float32]
    """(N, *contract.shape): normalised, not yet rounded to fixed point"""
    y: NDArray[np.int64]
    """(N,): index into `classes`"""
    weight: NDArray[np.float32]
    """(N,): event weights"""
    contract: InputContract
    classes: tuple[str, ...]
    mask: NDArray[np.bool_] | None = None
    """(N, P): true where there is a particle; None for inputs without particles"""
    observables: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(N,) each: quantities for plots and selections (jet_pt [GeV], …), never network inputs"""

    def __post_init__(self) -> None:
        events = len(self.x)
        if self.x.shape[1:] != self.contract.shape:
            raise DataError(
                f"inputs of shape {self.x.shape[1:]}, the contract says {self.contract.shape}"
            )
        columns: dict[str, NDArray[Any]] = {"y": self.y, "weight": self.weight}
        columns |= dict(self.observables) | ({} if self.mask is None else {"mask": self.mask})
        for name, column in columns.items():
            if len(column) != events:
                raise DataError(f"{name!r} has {len(column)} entries for {events} events")
        if events and not (self.y.min() >= 0 and self.y.max() < len(self.classes)):
            raise DataError(
                f"labels {self.y.min()}..{self.y.max()} for {len(self.classes)} classes "
                f"{list(self.classes)}; labels are 0..{len(self.classes) - 1}"
            )
        require_finite("input", self.x, self.contract.names)
        require_finite("weight", self.weight[:, None], ("weight",))

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: NDArray[np.int64] | slice) -> "Dataset":
        """The events at `index`, in that order."""
        return Dataset(
            x=self.x[index],
            y=self.y[index],
            weight=self.weight[index],
            contract=self.contract,
            classes=self.classes,
            mask=None if self.mask is None else self.mask[index],
            observables={k: v[index] for k, v in self.observables.items()},
        )

    @property
    def quantized_x(self) -> NDArray[np.float32]:
        """`x` (N, *shape) on the contract's fixed-point grid."""
        return self.contract.quantize(self.x)


@dataclass(frozen=True)
class Splits:
    """Disjoint parts of one data set, with one contract."""

    train: Dataset
    validation: Dataset
    test: Dataset
    background: tuple[str, ...] = ()
    """Classes that an anomaly score is learned from; empty where the classes are told apart"""

    @property
    def contract(self) -> InputContract:
        """What the three parts have in common."""
        return self.train.contract

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.train.classes


def of_classes(
    y: NDArray[np.int64], classes: Sequence[str], names: Collection[str]
) -> NDArray[np.bool_]:
    """Where the labels (N,), indices into `classes`, are of a class in `names`."""
    return np.isin(y, [i for i, name in enumerate(classes) if name in names])


def require_finite(what: str, values: NDArray[Any], names: tuple[str, ...]) -> None:
    """Raises DataError if `values` (N, …, len(names)) hold NaN or inf; names feature and entry."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    first = np.argwhere(bad)[0]
    raise DataError(
        f"{int(bad.sum())} values of {what} are NaN or infinite, the first in {names[first[-1]]!r} "
        f"of event {first[0]}; remove these events with a selection or mend the file"
    )
