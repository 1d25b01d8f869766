"""The files in `templates/`: copied, or filled in where they hold `$name`."""

from importlib.resources import files
from pathlib import Path
from string import Template


def copy_template(name: str, folder: Path) -> None:
    """Copies a template to `folder` as it is."""
    (folder / name).write_text(_text(name))


def fill_template(name: str, folder: Path, **values: object) -> None:
    """Writes a template to `folder` with its `$names` replaced by `values`."""
    (folder / name).write_text(Template(_text(name)).substitute(values))


def _text(name: str) -> str:
    return (files("triggerforge.firmware") / "templates" / name).read_text()
