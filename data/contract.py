"""The input contract: how a physical quantity becomes a hardware integer, and a network's input.

A network's input is x = (raw - offset) * 2^-shift. Offset and power-of-two shift are what Level-1
firmware does to its integers (cms-hls4ml/AXOL1TL, `scales.h`: ad_offsets, ad_shift), so that the
float that a network is trained on and the integer that the hardware holds are the same number.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat

_EXACT_BITS = 24


@dataclass(frozen=True)
class InputFeature:
    """One input of the network: `format` is that of x, after offset and shift."""

    name: str
    unit: str
    offset: float
    """in `unit`"""
    shift: int
    """x = (raw - offset) * 2^-shift"""
    format: FixedFormat
    padding: float = 0.0
    """value of x where there is no particle"""

    def __post_init__(self) -> None:
        if self.format.width > _EXACT_BITS:
            raise DataError(
                f"input {self.name!r}: {self.format} is wider than the {_EXACT_BITS} bits that "
                "float32 holds exactly; give it fewer bits"
            )


@dataclass(frozen=True)
class RangeCount:
    """How often one input leaves its fixed-point range."""

    name: str
    events: int
    """events looked at"""
    saturated: int
    """events in which at least one value of this input lies outside the format's range"""
    low: float
    """smallest x seen"""
    high: float
    """largest x seen"""
    allowed: tuple[float, float]
    """the format's range"""


@dataclass(frozen=True)
class InputContract:
    """Name, order, unit, scale, fixed-point format and padding of every input.

    `shape` is that of one event; its last axis runs over `features` (16 features: (16,);
    P particles of F features: (P, F); an image: (H, W, channels)).
    Raises DataError if the last axis and the number of features differ.
    """

    features: tuple[InputFeature, ...]
    shape: tuple[int, ...]
    order: str = "as listed"
    """order along the first axis, such as "pT, falling" """

    def __post_init__(self) -> None:
        if not self.shape or self.shape[-1] != len(self.features):
            raise DataError(
                f"an event of shape {self.shape} cannot hold {len(self.features)} features in its "
                "last axis; give one feature for each of its entries"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in order."""
        return tuple(f.name for f in self.features)

    def normalize(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Physical values (N, *shape) to network inputs x (N, *shape), float32, not yet rounded."""
        offset = np.array([f.offset for f in self.features])
        scale = np.ldexp(1.0, [-f.shift for f in self.features])
        x: NDArray[np.float32] = ((np.asarray(raw, np.float64) - offset) * scale).astype(np.float32)
        return x

    def quantize(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """x (N, *shape) on the grid of each input's format: what every quantised engine is given."""
        out = np.empty(np.shape(x), dtype=np.float32)
        for i, feature in enumerate(self.features):
            out[..., i] = feature.format.quantize(np.asarray(x)[..., i])
        return out

    def to_integers(self, x: NDArray[Any]) -> NDArray[np.int64]:
        """x (N, *shape) as the integers that the hardware port carries."""
        out = np.empty(np.shape(x), dtype=np.int64)
        for i, feature in enumerate(self.features):
            out[..., i] = feature.format.to_integers(np.asarray(x)[..., i])
        return out

    def audit(self, x: NDArray[Any]) -> list[RangeCount]:
        """For each input, how many of the events x (N, *shape) leave its range."""
        counts = []
        for i, feature in enumerate(self.features):
            values = np.asarray(x)[..., i].reshape(len(x), -1)
            counts.append(
                RangeCount(
                    name=feature.name,
                    events=len(x),
                    saturated=int(feature.format.overflows(values).any(axis=1).sum()),
                    low=float(values.min()),
                    high=float(values.max()),
                    allowed=feature.format.range,
                )
            )
        return counts

    def to_dict(self) -> dict[str, Any]:
        """A form that JSON can hold; `from_dict` is its inverse."""
        features = [asdict(f) | {"format": str(f.format)} for f in self.features]
        return {"features": features, "shape": list(self.shape), "order": self.order}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "InputContract":
        """The contract that `to_dict` wrote; raises DataError if a key is missing."""
        try:
            features = tuple(
                InputFeature(**{**f, "format": FixedFormat.parse(f["format"])})
                for f in record["features"]
            )
            return cls(features, tuple(record["shape"]), record["order"])
        except (KeyError, TypeError) as error:
            raise DataError(f"not an input contract: {error}") from error
