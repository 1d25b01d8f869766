"""Arrays and a small record in one file, written whole or not at all."""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.errors import ArtifactError
from triggerforge.runfolder import write_atomic

_RECORD = "record"


def save(path: Path, record: dict[str, Any], **groups: Sequence[Any]) -> None:
    """Writes `record` (JSON-able) and each group's arrays, in order, to `path`."""
    arrays = {f"{g}/{i:05d}": np.asarray(v) for g, vs in groups.items() for i, v in enumerate(vs)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{_RECORD: np.array(json.dumps(record))}, **arrays)
    write_atomic(path, buffer.getvalue())


def load(path: Path) -> tuple[dict[str, Any], dict[str, list[NDArray[Any]]]]:
    """What `save` wrote: the record, and each group that is not empty.

    Raises ArtifactError if the file is damaged.
    """
    groups: dict[str, list[NDArray[Any]]] = {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            record: dict[str, Any] = json.loads(str(file[_RECORD]))
            for name in sorted(set(file.files) - {_RECORD}):
                groups.setdefault(name.split("/")[0], []).append(file[name])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"{path} is damaged ({error}); remove it and run the stage again"
        ) from error
    return record, groups
