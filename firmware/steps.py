"""The parts of the stage: each is there whole or not at all, and is not built twice.

A part works in `.<name>.building` and is renamed to `<name>` when it is whole, with the facts that it
found out in `facts.json`. A killed stage leaves whole parts, which are kept, and one half-built, which
is thrown away.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triggerforge.progress import say
from triggerforge.runfolder import read_json, write_json

FACTS_FILE = "facts.json"


def part(folder: Path, name: str, work: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The facts of part `name`, after `work(folder of the part)` if it was not there whole."""
    target = folder / name
    if not target.is_dir():
        building = folder / f".{name}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        say(f"firmware: {name} …")
        facts = work(building)
        write_json(building / FACTS_FILE, facts)
        building.rename(target)
    return read_json(target / FACTS_FILE)
