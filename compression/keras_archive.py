"""The .keras file as an archive of JSON and weights: the same bytes for the same network."""

import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from triggerforge.compression.backend import keras


def keras_bytes(model: keras.Model) -> bytes:
    """`model` as the bytes of a .keras file: the same for the same network.

    Keras writes the time, and the addresses of objects in memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return rewritten(path.read_bytes(), {"config.json": _counted, "metadata.json": _undated})


def rewritten(keras_file: bytes, changes: Mapping[str, Callable[[Any], Any]]) -> bytes:
    """The file with the JSON of some members changed, in a fixed order and without times."""
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(keras_file)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            if name in changes:
                data = json.dumps(changes[name](json.loads(data))).encode()
            new.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def _undated(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != "date_saved"}


def _counted(config: Any) -> Any:
    """Objects that layers share are numbered in the order in which they stand there."""
    numbers: dict[Any, int] = {}

    def count(part: Any) -> Any:
        if isinstance(part, list):
            return [count(one) for one in part]
        if not isinstance(part, dict):
            return part
        shared = part.get("shared_object_id")
        number = (
            {} if shared is None else {"shared_object_id": numbers.setdefault(shared, len(numbers))}
        )
        return {key: count(value) for key, value in part.items()} | number

    return count(config)
