"""Jets in the layout of every format, and real files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triggerforge.validation.eventfiles import WRITERS, Jets, make_jets

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def jets() -> Jets:
    return make_jets()


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes jets in the layout of that name; gives back the file to read."""

    def write(layout: str, jets: Jets, **options: Any) -> Path:
        ending, function = WRITERS[layout]
        return function(tmp_path / f"{layout}.{ending}", jets, **options)

    return write


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """The path of a real file, or a visible skip."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"no real file {name} beside this checkout")
        return path

    return find
