"""Compiled simulations as shared libraries: sealed when built, checked when loaded."""

import ctypes
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from triggerforge.errors import ArtifactError
from triggerforge.runfolder import read_json, write_json

_SEAL = "library.json"


def seal_library(folder: Path, library: str, **facts: Any) -> None:
    """Notes in `folder` the library's relative path, its SHA-256, and what a user of it must know."""
    record = {"library": library, "sha256": _digest(folder / library), **facts}
    write_json(folder / _SEAL, record)


def load_library(folder: Path) -> tuple[ctypes.CDLL, dict[str, Any]]:
    """The library that `seal_library` noted, and the facts.

    It is loaded from a private copy: the loader takes a file of a known path for the known file, and
    a stage that is built anew puts another library there.
    Raises ArtifactError where it is missing, was changed since, or does not load on this machine.
    """
    record = read_json(folder / _SEAL)
    try:
        path = folder / record["library"]
        if _digest(path) != record["sha256"]:
            raise ArtifactError(f"{path} is not what was built; run the stage firmware again")
        with tempfile.TemporaryDirectory() as private:
            copy = Path(private) / path.name
            shutil.copyfile(path, copy)
            return ctypes.CDLL(str(copy)), record
    except (OSError, KeyError) as error:
        raise ArtifactError(f"{folder}: {error}; run the stage firmware again") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
