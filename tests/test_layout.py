"""The folders, the package list of pyproject.toml and the links for type checkers agree."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_folder_is_packaged() -> None:
    found = set()
    for name, folder in SETUP["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(ROOT / folder).parts]))
    assert set(SETUP["packages"]) == found


def test_type_checkers_see_every_module() -> None:
    links = ROOT / ".types" / "triggerforge"
    core = {p.name for p in (ROOT / "core").iterdir() if p.name != "__pycache__"}
    rooms = {f for f in SETUP["package-dir"].values() if f != "core"}
    assert {p.name for p in links.iterdir() if p.name != "__pycache__"} == core | rooms
