"""How a network is quantised at first; training moves the bits from there.

A weight starts with the bits that its value needs at its tensor's step, so that small weights are
cheap and tiny ones are pruned from the start (HGQ, arXiv 2405.00645). Inputs of the network start
with the formats of the input contract, and saturate.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq
from triggerforge.errors import ConfigError
from triggerforge.fixedpoint import Overflow, Rounding

_FARTHEST = 60.0
"""bits between the binary point and a format's ends, at most"""
Granularity = Literal["element", "channel", "layer"]


@dataclass(frozen=True)
class QuantizationScheme:
    """Bits, rounding and overflow with which `lower` sets up the quantisers.

    Raises ConfigError where an activation would have less than no bits.
    """

    weight_bits: int = 8
    """bits of a tensor's largest weight, sign included; sets the step of the tensor"""
    bias_bits: int = 8
    activation_integers: int = 2
    """integer bits without the sign; found anew by `trace_minmax` where the overflow is WRAP"""
    activation_fraction: int = 6
    table_bits: int = 8
    """bits below the binary point of a table activation's output"""
    weight_granularity: Granularity = "element"
    activation_granularity: Granularity = "element"
    """"element": each its own format; "channel": one along the last axis; "layer": one for all"""
    weight_rounding: Rounding = Rounding.RND
    weight_overflow: Overflow = Overflow.SAT_SYM
    activation_rounding: Rounding = Rounding.RND
    activation_overflow: Overflow = Overflow.WRAP
    input_overflow: Overflow = Overflow.SAT
    beta: float = 1e-6
    """weight of the EBOPs in the loss, at first"""
    trainable: bool = True
    """whether training may move the bits"""
    max_bits: int = 12
    """no weight gets more bits than this, sign not counted"""

    def __post_init__(self) -> None:
        for name in ("activation_fraction", "table_bits"):
            bits = self.activation_integers + getattr(self, name)
            if bits < 0:
                raise ConfigError(
                    f"activation_integers ({self.activation_integers}) and {name} "
                    f"({getattr(self, name)}) leave {bits} bits; their sum must be 0 or more"
                )

    def weight(self, rank: int) -> hgq.config.QuantizerConfig:
        """Quantiser of a weight or bias of `rank` axes."""
        return hgq.config.QuantizerConfig(
            "kbi",
            "weight",
            b0=self.weight_bits,
            i0=0,
            round_mode=str(self.weight_rounding),
            overflow_mode=str(self.weight_overflow),
            bc=hgq.constraints.MinMax(0, self.max_bits),
            ic=_anywhere(),
            homogeneous_axis=self._shared_axes(self.weight_granularity, range(rank)),
            trainable=self.trainable,
        )

    def activation(self, rank: int, port: bool = False) -> hgq.config.QuantizerConfig:
        """Quantiser of a tensor of `rank` axes (batch not counted); `port`: of a network input."""
        overflow = self.input_overflow if port else self.activation_overflow
        granularity = self.activation_granularity
        if port and granularity == "layer":
            granularity = "channel"  # the contract gives each feature a format of its own
        axes = self._shared_axes(granularity, range(1, rank + 1))
        return hgq.config.QuantizerConfig(
            "kif",
            "datalane",
            i0=self.activation_integers,
            f0=self.activation_fraction,
            ic=_anywhere(),
            fc=_anywhere(),
            round_mode=str(self.activation_rounding),
            overflow_mode=str(overflow),
            homogeneous_axis=(0, *axes),
            trainable=self.trainable,
        )

    def table(self) -> hgq.config.QuantizerConfig:
        """Quantiser of a table's output: one format for the layer, as hls4ml asks for."""
        return hgq.config.QuantizerConfig(
            "kif",
            "table",
            i0=self.activation_integers,
            f0=self.table_bits,
            ic=_anywhere(),
            fc=_anywhere(),
            round_mode="RND_CONV",
            overflow_mode="SAT",
            trainable=self.trainable,
        )

    @staticmethod
    def _shared_axes(granularity: Granularity, axes: range) -> tuple[int, ...]:
        shared: dict[Granularity, tuple[int, ...]] = {
            "element": (),
            "channel": tuple(axes)[:-1],
            "layer": tuple(axes),
        }
        return shared[granularity]


def _anywhere() -> Any:
    """HGQ2 keeps a binary point within 24 bits of the number's own, unless told otherwise."""
    return hgq.constraints.MinMax(-_FARTHEST, _FARTHEST)


def magnitude_bits(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The integer bits without sign that hold |values| (any shape); very negative for zeros."""
    magnitude = np.abs(np.asarray(values, np.float64))
    return np.where(
        magnitude > 0, np.floor(np.log2(np.maximum(magnitude, 2.0**-_FARTHEST))) + 1, -_FARTHEST
    )
