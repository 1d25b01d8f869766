"""Compiled simulations as shared libraries: sealed when built, checked when loaded."""

import ctypes
import hashlib
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ArtifactError, DataError
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
    record = require_library(folder)
    path = folder / record["library"]
    try:
        with tempfile.TemporaryDirectory() as private:
            copy = Path(private) / path.name
            shutil.copyfile(path, copy)
            return ctypes.CDLL(str(copy)), record
    except OSError as error:
        raise ArtifactError(f"{folder}: {error}; run the stage firmware again") from error


def require_library(folder: Path) -> dict[str, Any]:
    """The facts that `seal_library` noted; raises ArtifactError where the library is missing or changed."""
    record: dict[str, Any] = read_json(folder / _SEAL)
    try:
        path = folder / record["library"]
        if _digest(path) != record["sha256"]:
            raise ArtifactError(f"{path} is not what was built; run the stage firmware again")
    except (OSError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder}: {error}; run the stage firmware again") from error
    return record


def flat_events(x: NDArray[Any], inputs: int) -> NDArray[np.float64]:
    """x (N, …) as contiguous float64 (N, inputs), as both simulations read it.

    Raises DataError if an event has another number of inputs.
    """
    found = math.prod(np.shape(x)[1:])
    if found != inputs:
        raise DataError(f"{found} inputs an event; the design takes {inputs}")
    return np.ascontiguousarray(np.reshape(x, (len(x), inputs)), dtype=np.float64)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
