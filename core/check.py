"""`triggerforge check`: what is installed, what is missing, how to get it."""

import platform
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from triggerforge.config.compress import QKerasConfig
from triggerforge.errors import MissingToolError
from triggerforge.packages import find_packages, package_version
from triggerforge.result import TOOLS
from triggerforge.tools import find_tools


def check() -> None:
    """Prints two tables, packages and tools; raises MissingToolError if a required one is missing."""
    console = Console()
    console.print(_packages())
    console.print(_tools())
    missing = [tool.advice for tool in find_tools() if tool.required and not tool.found]
    missing += [
        f"{name} is not installed; `make setup`" for name in TOOLS if not package_version(name)
    ]
    if missing:
        raise MissingToolError("\n  ".join(["a default run is incomplete:", *missing]))


def _packages() -> Table:
    table = Table(title=f"Python {platform.python_version()}", title_justify="left")
    table.add_column("package")
    table.add_column("version")
    table.add_column("what for", overflow="fold")
    for name in TOOLS:
        table.add_row(name, package_version(name) or "[red]missing[/red]", "every run")
    for package in find_packages():
        state = package.version or "[yellow]missing[/yellow]"
        note = "" if package.version else f"; {package.how_to_get}"
        table.add_row(package.name, state, package.purpose + note)
    return table


def _tools() -> Table:
    table = Table(title="Tools", title_justify="left")
    for column in ("tool", "version", "what for", "where, or how to get it"):
        table.add_column(column, overflow="fold")
    for tool in find_tools():
        colour = "red" if tool.required else "yellow"
        state = tool.version or "found" if tool.found else f"[{colour}]missing[/{colour}]"
        table.add_row(tool.name, state, tool.purpose, escape(tool.path or tool.how_to_get))
    qkeras = Path(QKerasConfig().python)
    state = "found" if qkeras.is_file() else "[yellow]missing[/yellow]"
    table.add_row("qkeras", state, "trains QKeras models", escape(f"`make qkeras` makes {qkeras}"))
    return table
