"""What a buffer of the fused kernel's graph stands for."""

from dataclasses import dataclass, field

import numpy as np

from triggerforge.export.native.place import Index

LEAST = 16
"""columns of the smallest product of matrices"""


def padded_rows(rows: int) -> int:
    """The power of two that holds them: Triton knows no other lengths."""
    return 1 << (rows - 1).bit_length()


def padded_columns(columns: int) -> int:
    """A power of two that a product of matrices takes; one column stays one."""
    return 1 if columns == 1 else max(LEAST, padded_rows(columns))


@dataclass(frozen=True)
class Formula:
    """Element e is `expression` of element `index[e]` of each operand (buffer, index)."""

    expression: str
    operands: list[tuple[str, Index]]

    @property
    def sources(self) -> list[str]:
        """The buffers that it reads."""
        return [name for name, _ in self.operands]


@dataclass
class Pieces:
    """Element e is element `source[e]` of buffer `sources[owner[e]]`, or `fill`, if the owner is -1."""

    owner: Index
    source: Index
    fill: str | None = None
    sources: list[str] = field(default_factory=list)

    @staticmethod
    def empty(size: int) -> "Pieces":
        """Nothing is put yet."""
        return Pieces(np.full(size, -1), np.zeros(size, np.int64))

    def put(self, where: Index, buffer: str, index: Index) -> None:
        """Elements `index` of a buffer to the elements `where`."""
        self.owner[where] = len(self.sources)
        self.source[where] = index
        self.sources.append(buffer)


@dataclass(frozen=True)
class Matrix:
    """A variable (events, rows, columns) of the kernel, padded; elements are counted row by row."""

    variable: str
    rows: int
    columns: int

    @property
    def padded(self) -> tuple[int, int]:
        """Its true sizes."""
        return padded_rows(self.rows), padded_columns(self.columns)

    def places(self, index: Index) -> Index:
        """Where its elements lie in the padded rows, one behind the other."""
        return index // self.columns * self.padded[1] + index % self.columns


Values = dict[str, Formula | Pieces | Matrix]
