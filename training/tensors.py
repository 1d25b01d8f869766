"""A data set as tensors on one device, with the weights that enter the loss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triggerforge.config.train import TrainConfig
from triggerforge.data.dataset import Dataset
from triggerforge.data.weights import magnitudes
from triggerforge.errors import ConfigError, DataError

_CHUNK = 65_536


@dataclass(frozen=True)
class Tensors:
    """Events on a device, ready for the loss."""

    x: Tensor
    """(N, *shape), float32"""
    y: Tensor
    """(N,): labels, int64; or, where a score is to be learned, its targets, float32"""
    weight: Tensor
    """(N,), float32, with mean 1: event weight times class weight"""

    def __len__(self) -> int:
        return len(self.y)

    def batches(self, size: int, order: Tensor | None = None) -> Iterator["Tensors"]:
        """Batches of at most `size` events, in the order (N,) given or as they stand."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            if order is None:
                yield Tensors(self.x[part], self.y[part], self.weight[part])
            else:
                index = order[part]
                yield Tensors(self.x[index], self.y[index], self.weight[index])


def network_inputs(data: Dataset, quantized: bool) -> NDArray[np.float32]:
    """x (N, *shape) as the network is given it; rounded in chunks, so that memory stays bounded."""
    if not quantized:
        return data.x
    out = np.empty_like(data.x)
    for start in range(0, len(data), _CHUNK):
        part = slice(start, start + _CHUNK)
        out[part] = data.contract.quantize(data.x[part])
    return out


def fitting_weights(data: Dataset) -> NDArray[np.float32]:
    """The events' weights (N,) in a fit: see `triggerforge.data.weights.magnitudes`."""
    found: NDArray[np.float32] = magnitudes(data.weight, data.y, data.classes, "fitted")
    return found


def to_tensors(
    data: Dataset,
    config: TrainConfig,
    classes: NDArray[np.float64],
    device: torch.device,
    target: NDArray[np.float32] | None = None,
) -> Tensors:
    """`data` on the device; `classes` (C,) are the class weights, `target` (N,) stands for labels."""
    weight = classes[data.y] * (fitting_weights(data) if config.event_weights else 1.0)
    if weight.sum() <= 0:
        raise DataError(
            f"the weights of {len(data)} events sum to {weight.sum():g}; they must sum to more than "
            "0: mend the event weights, or set `train.event_weights: false`"
        )
    return Tensors(
        torch.from_numpy(network_inputs(data, config.quantized_inputs)).to(device),
        torch.from_numpy(data.y if target is None else target).to(device),
        torch.from_numpy((weight / weight.mean()).astype(np.float32)).to(device),
    )


def class_weights(data: Dataset, config: TrainConfig) -> NDArray[np.float64]:
    """One weight a class, (C,).

    balanced: such that the weighted sums of all classes are equal. Raises ConfigError if a list
    has another length than the classes, DataError if a class has no events or no positive sum.
    """
    require_all_classes(data, "training")
    count = len(data.classes)
    if isinstance(config.class_weights, list):
        if len(config.class_weights) != count or min(config.class_weights) < 0:
            raise ConfigError(
                f"train.class_weights: {config.class_weights} for the {count} classes "
                f"{list(data.classes)}; give {count} numbers, none negative"
            )
        return np.array(config.class_weights, np.float64)
    if config.class_weights == "none":
        return np.ones(count)
    sums = np.bincount(data.y, data.weight if config.event_weights else None, minlength=count)
    if sums.min() <= 0:
        bad = data.classes[int(sums.argmin())]
        raise DataError(
            f"the event weights of class {bad!r} sum to {sums.min():g}: classes cannot be balanced; "
            "set `train.class_weights: none` or mend the weights"
        )
    balanced: NDArray[np.float64] = sums.sum() / (count * sums)
    return balanced


def require_all_classes(data: Dataset, split: str, wanted: Sequence[str] = ()) -> None:
    """Raises DataError if a class has no events in `data`, naming it and the part of the data.

    `wanted`: the classes that count, where not all do.
    """
    if len(data) == 0:
        raise DataError(f"no events in the {split} part; use more events or another split")
    present = np.bincount(data.y, minlength=len(data.classes))
    due = wanted or data.classes
    missing = [c for c, n in zip(data.classes, present, strict=True) if n == 0 and c in due]
    if missing:
        raise DataError(
            f"no events of {', '.join(missing)} among the {len(data)} of the {split} part; use more "
            "events, mend the selection, or leave the class out of `data.classes`"
        )
