"""The folder of a run: a stage is there whole or not at all, and is not run twice.

A stage works in `.<stage>.partial` and is renamed to `<stage>` when it is whole. A killed stage
leaves its partial folder behind; the same stage with the same key goes on in it. The key of a stage
holds what the stages below it left, so one that is made anew takes along all that stands on it.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triggerforge.errors import ArtifactError, TriggerForgeError

_SEAL = ".stage.json"
_KEY_FILE = ".key"


def key_of(*parts: Any) -> str:
    """SHA-256 over the JSON form of `parts`: configuration, contents below, input files."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_identity(path: Path) -> tuple[str, int, int]:
    """What stands for an input file in a key: its path, size in bytes and time of change in ns."""
    status = path.stat()
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes `content` to `path` whole or not at all."""
    temporary = path.with_name(f".{path.name}.partial")
    data = content.encode() if isinstance(content, str) else content
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, record: Any) -> None:
    """Writes `record` as JSON, whole or not at all; NaN and inf, which JSON lacks, are refused."""
    write_atomic(path, json.dumps(record, indent=1, default=_plain, allow_nan=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):  # pydantic rows
        return value.model_dump()
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Holds the lock file `path`; raises TriggerForgeError with the words `busy` if another does."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TriggerForgeError(busy) from error
        yield


def cache_folder(what: str) -> Path:
    """Where compiled networks of a kind are kept for every run of this user (XDG_CACHE_HOME)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "triggerforge" / what


class RunFolder:
    """`root/name/`, with one folder a stage."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / name

    def stage_path(self, stage: str) -> Path:
        """Where the finished stage lies."""
        return self.path / stage

    def is_done(self, stage: str, key: str) -> bool:
        """Whether the stage is there, whole, and was made with this key."""
        return self._sealed_key(self.stage_path(stage)) == key

    def contents(self, stage: str) -> str:
        """SHA-256 over a finished stage's key and the names and checksums of its files.

        Raises ArtifactError where the stage has no seal.
        """
        seal = read_json(self.stage_path(stage) / _SEAL)
        sums = {name: sealed["sha256"] for name, sealed in seal["files"].items()}
        return key_of(seal["key"], sums)

    def run(self, stage: str, key: str, work: Callable[[Path], None], shared: bool = False) -> Path:
        """Gives back the stage's folder, after `work(partial_folder)` if it was not there.

        `work` may find there what an earlier, killed call with the same key had written. With
        `shared` the stage of another run under the same root is taken, if it has this key.
        """
        target = self.stage_path(stage)
        if self.is_done(stage, key):
            return target
        self.path.mkdir(parents=True, exist_ok=True)
        busy = f"another process is running stage {stage!r} of {self.path}; wait for it"
        with locked(self.path / f".{stage}.lock", busy):
            if self.is_done(stage, key):
                return target
            partial = self.path / f".{stage}.partial"
            self._prepare(partial, key)
            twin = self._twin(stage, key) if shared else None
            if twin:
                _take_files(twin, partial)
            else:
                work(partial)
            (partial / _KEY_FILE).unlink()
            self._seal(partial, key)
            self._replace(partial, target)
        return target

    def _twin(self, stage: str, key: str) -> Path | None:
        """The finished stage of another run with the same key."""
        folders = sorted(self.path.parent.glob(f"*/{stage}"))
        return next((f for f in folders if self._sealed_key(f) == key), None)

    def _prepare(self, partial: Path, key: str) -> None:
        key_file = partial / _KEY_FILE
        if not (key_file.is_file() and key_file.read_text() == key):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            write_atomic(key_file, key)

    def _seal(self, folder: Path, key: str) -> None:
        files = {
            str(p.relative_to(folder)): _fingerprint(p)
            for p in sorted(folder.rglob("*"))
            if p.is_file() and not p.is_symlink()
        }
        write_atomic(folder / _SEAL, json.dumps({"key": key, "files": files}, indent=1))

    def _replace(self, partial: Path, target: Path) -> None:
        old = self.path / f".{target.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)

    def _sealed_key(self, folder: Path) -> str | None:
        """The key of a whole stage; None where a file is missing or another."""
        try:
            seal = json.loads((folder / _SEAL).read_text())
            whole = all(_is_same(folder / f, found) for f, found in seal["files"].items())
            return str(seal["key"]) if whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _fingerprint(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": _sha256(path)}


def _is_same(path: Path, sealed: dict[str, Any]) -> bool:
    """Whether a file is as it was sealed; it is read only where its time of change differs."""
    status = path.stat()
    if status.st_size != sealed["size"]:
        return False
    return bool(status.st_mtime_ns == sealed["mtime_ns"] or _sha256(path) == sealed["sha256"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take_files(source: Path, target: Path) -> None:
    """Puts the files of a finished stage into `target`, which shares their space on the disk."""

    def take(file: str, copy: str) -> None:
        Path(copy).unlink(missing_ok=True)
        try:
            os.link(file, copy)
        except OSError:  # a file system without hard links
            shutil.copy2(file, copy)

    seal = shutil.ignore_patterns(_SEAL)
    shutil.copytree(source, target, copy_function=take, ignore=seal, dirs_exist_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; raises ArtifactError if there is none."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}; run the stage again") from error
    if not isinstance(record, dict):
        raise ArtifactError(f"{path} holds {type(record).__name__}, not an object; run again")
    return record
