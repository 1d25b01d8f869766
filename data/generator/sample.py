"""What the stage `generate` needs of a recipe: tasks that make chunks, and how they are merged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[np.generic]]
"""name -> array, as a chunk's file holds them"""


class Task(Protocol):
    """One chunk to be made, by any worker, with the same bits each time."""

    @property
    def name(self) -> str:
        """Stem of the chunk's file."""
        ...

    @property
    def size(self) -> int:
        """Entries that the chunk will have, for the progress bar."""
        ...

    def make(self) -> Columns:
        """The chunk."""
        ...


@dataclass(frozen=True)
class Step:
    """Tasks that do not wait for each other; those of the next step may read their chunks."""

    what: str
    """what the tasks make: "jets", "crossings" """
    tasks: Sequence[Task]

    @property
    def size(self) -> int:
        """Entries of all tasks."""
        return sum(task.size for task in self.tasks)


class Sample(Protocol):
    """A recipe with its configuration and seed."""

    steps: tuple[Step, ...]

    @property
    def identity(self) -> list[object]:
        """All that decides the bits of the chunks but the seed."""
        ...

    def merge(self, path: Path) -> None:
        """Writes the chunks to the ROOT file `path`, whole or not at all; DataError if it fails."""
        ...

    def summary(self) -> dict[str, Any]:
        """For the record."""
        ...
