"""The folder of a run: a stage is there whole or not at all, and is not run twice.

A stage works in `.<stage>.partial` and is renamed to `<stage>` when it is whole. A killed stage
leaves its partial folder behind; the same stage with the same key goes on in it. The key of a stage
holds what the stages below it left, so one that is made anew takes along all that stands on it.

A finished stage is sealed: its key, the SHA-256 of every file that it left and of every file of the
user's that it was made from. Whoever takes a stage reads its files again first.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triggerforge.border import is_full
from triggerforge.errors import ArtifactError, DiskFullError, ToolFailedError, TriggerForgeError
from triggerforge.locks import locked
from triggerforge.progress import say
from triggerforge.surroundings import private_home

SEAL = ".stage.json"
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
    write_atomic(path, json_bytes(record))


def json_bytes(record: Any) -> bytes:
    """What `write_json` writes. Raises ValueError for NaN and inf."""
    return json.dumps(record, indent=1, default=_plain, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):  # pydantic rows
        return value.model_dump()
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def cache_folder(what: str) -> Path:
    """Where compiled networks of a kind are kept for every run of this user (XDG_CACHE_HOME)."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    there = next(parent for parent in (home, *home.absolute().parents) if parent.exists())
    if not os.access(there, os.W_OK):
        home = private_home() / ".cache"
    return home / "triggerforge" / what


class RunFolder:
    """`root/name/`, with one folder a stage."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / name

    def stage_path(self, stage: str) -> Path:
        """Where the finished stage lies."""
        return self.path / stage

    def is_done(self, stage: str, key: str) -> bool:
        """Whether the stage is there and was made with this key, and every file is the one sealed.

        All of its files are read. An input of the user's is read where it was touched.
        """
        changed = _changed(self.stage_path(stage), key)
        if changed:
            say(f"{changed[0]}; it is made again", stage)
        return changed == []

    def contents(self, stage: str) -> str:
        """SHA-256 over a finished stage's key and the names and checksums of its files.

        Raises ArtifactError where the stage has no seal.
        """
        return contents_of(read_json(self.stage_path(stage) / SEAL))

    def run(
        self,
        stage: str,
        key: str,
        work: Callable[[Path], None],
        shared: bool = False,
        inputs: Iterable[Path] = (),
        upstream: Mapping[str, str] | None = None,
    ) -> Path:
        """Gives back the stage's folder, after `work(partial_folder)` if it was not there.

        `work` may find there what an earlier, killed call with the same key had written. With
        `shared` the stage of another run under the same root is taken, if it has this key. Sealed with
        it are `inputs`, the user's files that it reads, and `upstream`, the contents of the stages that
        it stands on.

        Raises DiskFullError where `work` failed for want of room, whatever it raised itself.
        """
        target = self.stage_path(stage)
        self.path.mkdir(parents=True, exist_ok=True)
        busy = f"another process is running stage {stage!r} of {self.path}; wait for it"
        with locked(self.path / f".{stage}.lock", busy):
            if _changed(target, key) == []:
                return target
            partial = self.path / f".{stage}.partial"
            with _room(stage, self.path):
                self._prepare(partial, key)
                read = {str(path.resolve()): _fingerprint(path) for path in inputs}
                twin = self._twin(stage, key) if shared else None
                if twin:
                    _take_files(twin, partial)
                else:
                    work(partial)
                (partial / _KEY_FILE).unlink()
                _seal(partial, {"key": key, "inputs": read, "upstream": dict(upstream or {})})
                self._replace(partial, target)
        return target

    def _twin(self, stage: str, key: str) -> Path | None:
        """The finished stage of another run with the same key."""
        folders = sorted(self.path.parent.glob(f"*/{stage}"))
        return next((folder for folder in folders if _changed(folder, key) == []), None)

    def _prepare(self, partial: Path, key: str) -> None:
        key_file = partial / _KEY_FILE
        if not (key_file.is_file() and key_file.read_text() == key):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            write_atomic(key_file, key)

    def _replace(self, partial: Path, target: Path) -> None:
        old = self.path / f".{target.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def read_seal(folder: Path) -> dict[str, Any]:
    """The seal of a finished stage; raises ArtifactError where there is none that can be read."""
    seal = read_json(folder / SEAL)
    files = seal.get("files")
    if not isinstance(seal.get("key"), str) or not isinstance(files, dict):
        raise ArtifactError(f"{folder / SEAL} is no seal of a stage; run the stage again")
    return {"inputs": {}, "upstream": {}, **seal}


def contents_of(seal: Mapping[str, Any]) -> str:
    """SHA-256 over a seal's key and the names and checksums of its files."""
    sums = {name: sealed["sha256"] for name, sealed in seal["files"].items()}
    return key_of(seal["key"], sums)


def changed_files(folder: Path, seal: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every file that is not the one sealed; all are read."""
    for name, sealed in seal["files"].items():
        if problem := not_same(folder / name, sealed):
            yield problem


def not_same(path: Path, sealed: Mapping[str, Any]) -> str:
    """What is wrong with a file; nothing where it has the size and the SHA-256 that were sealed."""
    try:
        if path.stat().st_size == sealed["size"] and _sha256(path) == sealed["sha256"]:
            return ""
    except FileNotFoundError:
        return f"{path} is missing"
    except (OSError, KeyError, TypeError) as error:
        return f"{path} cannot be compared with its seal ({error!r})"
    return f"{path} is not what was written: its SHA-256 is another"


def _read_seal(folder: Path) -> dict[str, Any] | None:
    try:
        return read_seal(folder)
    except ArtifactError:
        return None


def _changed(folder: Path, key: str) -> list[str] | None:
    """What is not as it was when the stage was made; None where there is no stage with this key."""
    seal = _read_seal(folder)
    if seal is None or seal["key"] != key:
        return None
    return [*changed_files(folder, seal), *_replaced_inputs(seal)]


def _replaced_inputs(seal: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every input that was replaced at equal size and time of its last change.

    Nobody can set a file's ctime: where it is the sealed one, the file was not touched.
    """
    for name, sealed in seal["inputs"].items():
        path = Path(name)
        touched = path.is_file() and path.stat().st_ctime_ns != sealed.get("ctime_ns")
        if touched and not_same(path, sealed):
            yield f"{path} is not the file that it was made from"


def _seal(folder: Path, facts: dict[str, Any]) -> None:
    files = {
        str(p.relative_to(folder)): _fingerprint(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.is_symlink()
    }
    write_atomic(folder / SEAL, json.dumps({**facts, "files": files}, indent=1))


def _fingerprint(path: Path) -> dict[str, Any]:
    status = path.stat()
    times = {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    return {"size": status.st_size, **times, "sha256": _sha256(path)}


@contextmanager
def _room(stage: str, folder: Path) -> Iterator[None]:
    """Says that the disk is full where that is why a stage failed.

    Libraries raise what they like then, some without a word of it; so the disk is asked.
    """
    try:
        yield
    except Exception as error:
        if not _wants_room(error, folder):
            raise
        free = shutil.disk_usage(folder).free
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise DiskFullError(
            f"stage {stage!r}: the disk of {folder} is full ({free / 1e6:.1f} MB free): {first}; "
            "make room and run the same command again: what is finished is kept"
        ) from error


def _wants_room(error: BaseException, folder: Path) -> bool:
    chain: BaseException | None = error
    while chain is not None:
        if is_full(chain) or os.strerror(errno.ENOSPC) in str(chain):
            return True
        chain = chain.__cause__ or chain.__context__
    ours = isinstance(error, TriggerForgeError) and not isinstance(error, ToolFailedError)
    return not ours and not _has_room(folder)


def _has_room(folder: Path) -> bool:
    """Whether a file of 64 kB can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(65_536))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return not is_full(error)
    return True


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

    seal = shutil.ignore_patterns(SEAL)
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
