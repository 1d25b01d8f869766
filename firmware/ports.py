"""The flattened ports of the RTL: one word an event, its elements all as wide as the widest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from alkaid.types import CombLogic
from numpy.typing import NDArray

from triggerforge.errors import ModelError

_MAX_WIDTH = 64


@dataclass(frozen=True)
class Port:
    """`size` elements of `width` bits, the first in the lowest bits; value = integer * 2^-fraction."""

    size: int
    width: int
    fraction: int
    signed: bool

    @property
    def bits(self) -> int:
        """Of the whole port."""
        return self.size * self.width

    def hex_words(self, values: NDArray[Any]) -> list[str]:
        """values (N, size) as one hexadecimal word an event, for `$readmemh`.

        Bits outside an element are dropped, as a wire drops them.
        """
        integers = np.floor(np.ldexp(np.asarray(values, np.float64), self.fraction)).astype(int)
        mask = (1 << self.width) - 1
        digits = (self.bits + 3) // 4
        words = []
        for row in integers.reshape(len(integers), -1).tolist():
            word = 0
            for element in reversed(row):
                word = word << self.width | (element & mask)
            words.append(f"{word:0{digits}x}")
        return words


def ports(alir: CombLogic) -> tuple[Port, Port]:
    """Input and output port of a fixed-point graph.

    Raises ModelError where an element needs more than 64 bits, or where a port has no bits.
    """
    return _port(alir.inp_kifs, "input"), _port(alir.out_kifs, "output")


def _port(kifs: NDArray[Any], which: str) -> Port:
    """`kifs` (3, size): sign, integer and fractional bits of every element."""
    signed, integers, fraction = (int(row.max()) for row in np.asarray(kifs))
    width = signed + integers + fraction
    if width == 0:
        raise ModelError(
            f"no {which} of the model has a bit: its outputs are constant, and there is nothing to "
            "build; train with more bits, or a looser compress.target"
        )
    if not 1 <= width <= _MAX_WIDTH:
        raise ModelError(
            f"the {which} port needs {width} bits an element, 1 to {_MAX_WIDTH} are possible; "
            "give the formats of its elements a more similar scale"
        )
    return Port(size=kifs.shape[1], width=width, fraction=fraction, signed=bool(signed))
