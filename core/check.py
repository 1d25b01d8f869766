"""`triggerforge check`: what is installed, what is missing, how to get it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from triggerforge.config.compress import QKerasConfig
from triggerforge.errors import MissingToolError
from triggerforge.result import TOOLS
from triggerforge.tools import find_tools


def check() -> None:
    """Prints two tables, packages and tools; raises MissingToolError if a required one is missing."""
    console = Console()
    console.print(_packages())
    console.print(_tools())
    missing = [tool.advice for tool in find_tools() if tool.required and not tool.found]
    missing += [f"{name} is not installed; `make setup`" for name in TOOLS if not _version(name)]
    if missing:
        raise MissingToolError("\n  ".join(["a default run is incomplete:", *missing]))


def _packages() -> Table:
    table = Table(title=f"Python {platform.python_version()}", title_justify="left")
    table.add_column("package")
    table.add_column("version")
    for name in TOOLS:
        table.add_row(name, _version(name) or "[red]missing[/red]")
    return table


def _tools() -> Table:
    table = Table(title="Tools", title_justify="left")
    for column in ("tool", "version", "what for", "where, or how to get it"):
        table.add_column(column, overflow="fold")
    for tool in find_tools():
        colour = "red" if tool.required else "yellow"
        state = tool.version or "found" if tool.found else f"[{colour}]missing[/{colour}]"
        table.add_row(tool.name, state, tool.purpose, tool.path or tool.how_to_get)
    qkeras = Path(QKerasConfig().python)
    state = "found" if qkeras.is_file() else "[yellow]missing[/yellow]"
    table.add_row("qkeras", state, "trains QKeras models", f"`make qkeras` makes {qkeras}")
    return table


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
