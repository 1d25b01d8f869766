"""A table of texts, for a terminal and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sheet:
    """Rows under columns; the first columns hold names, the others, from `numbers` on, figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """one sentence or more on how to read it"""
    numbers: int = 1

    def text(self) -> str:
        """Lines for a terminal, columns under each other."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [self._line(cells, widths) for cells in (self.columns, *self.rows)]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join([self.title, *([self.note] if self.note else []), "", *lines])

    def markdown(self) -> str:
        """A section with the title as heading."""
        rule = ["---" if i < self.numbers else "---:" for i in range(len(self.columns))]
        lines = [_piped(cells) for cells in (self.columns, rule, *self.rows)]
        note = [self.note, ""] if self.note else []
        return "\n".join([f"## {self.title}", "", *note, *lines])

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = [
            cell.ljust(width) if i < self.numbers else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
