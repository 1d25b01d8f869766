"""Imports go down the floors only: core, data, training, compression, export and firmware, the top.

The top are benchmark, trigger, report and validation. `core/cli.py` and `core/pipeline.py` call the stages, and
import a room when its stage runs, not before.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "core": 0,
    "data": 1,
    "training": 2,
    "compression": 3,
    "export": 4,
    "firmware": 4,
    "trigger": 5,
    "benchmark": 5,
    "report": 5,
    "validation": 5,
}
CALLERS = {"core/cli.py", "core/inspection.py", "core/pipeline.py", "core/starter.py"}
FILES = sorted(path for room in FLOORS for path in (ROOT / room).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Each import of one of our rooms: the statement, the room's folder."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "triggerforge":
                room = rest.partition(".")[0]
                yield node, room if room in FLOORS else "core"


def too_high(path: Path) -> list[str]:
    """The imports of `path` that go up."""
    name = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text())
    at_start = set(tree.body)
    floor = FLOORS[name.partition("/")[0]]
    return [
        f"{name}:{node.lineno} imports {room}"
        for node, room in imported(tree)
        if FLOORS[room] > floor and (name not in CALLERS or node in at_start)
    ]


@pytest.mark.parametrize("room", FLOORS)
def test_imports_go_down(room: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / room)]
    assert files
    assert [line for path in files for line in too_high(path)] == []


def test_every_room_has_a_floor() -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(FLOORS) == set(setup["package-dir"].values())


def test_an_import_that_goes_up_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    wrong = tmp_path / "data" / "wrong.py"
    wrong.parent.mkdir()
    wrong.write_text("def f():\n    from triggerforge.export import runtime\n")
    assert too_high(wrong) == ["data/wrong.py:2 imports export"]
