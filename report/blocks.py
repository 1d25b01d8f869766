"""What a report is made of: plots and tables, and the mark of what was not run."""

from collections.abc import Callable
from dataclasses import dataclass

from triggerforge.report.material import Material, NotRunError, reading


@dataclass(frozen=True)
class Picture:
    """One figure, ready for the page."""

    svg: str
    """an <svg> element"""
    alt: str
    """what a reader who does not see it is told"""
    caption: str = ""


@dataclass(frozen=True)
class Plot:
    """Figures of one kind, with the caption that says what is drawn, in which unit, from how many."""

    pictures: tuple[Picture, ...]
    caption: str
    legend: tuple[tuple[str, str], ...] = ()
    """(name, colour) of what all pictures share"""
    columns: int = 3
    kind: str = "plot"


@dataclass(frozen=True)
class Cell:
    """An entry of a table; `tone` is "good", "bad", "muted" or nothing."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first column names the row, units stand in the columns' names."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    notes: tuple[str, ...] = ()
    """what stands out, in words"""
    kind: str = "table"


@dataclass(frozen=True)
class NotRun:
    """Stands where a plot or a table would."""

    reason: str
    kind: str = "not-run"


@dataclass(frozen=True)
class Block:
    """A titled piece of a section and the function that makes it."""

    title: str
    make: Callable[[Material], Plot | Table]
    half: bool = False
    """takes half of the page's width, where it is wide enough"""

    def build(self, material: Material) -> Plot | Table | NotRun:
        """The plot or table; where its stage was not run, the reason.

        Raises ArtifactError where the result has not the shape that the block reads.
        """
        try:
            with reading(repr(self.title)):
                return self.make(material)
        except NotRunError as error:
            return NotRun(str(error))


def row(*entries: Cell | str) -> tuple[Cell, ...]:
    """A table's row out of cells and plain texts."""
    return tuple(Cell(e) if isinstance(e, str) else e for e in entries)
