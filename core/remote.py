"""Event files by name: a file, a pattern, or a URL, which is fetched through fsspec before it is read.

fsspec knows the protocols and what has to be installed for each (fsspec-xrootd for root://, aiohttp and
requests for https://). A copy is kept under $XDG_CACHE_HOME/triggerforge (else ~/.cache) and is fetched
again when size, date or tag of the original change.
"""

import functools
import glob
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from triggerforge.errors import DataError, MissingToolError, did_you_mean
from triggerforge.progress import say

_TAGS = ("size", "mtime", "LastModified", "last_modified", "ETag", "etag", "created", "checksum")
"""what file systems tell of a file's version, each in its words"""


def files_of(pattern: str) -> list[Path]:
    """The local files that `pattern` stands for, sorted; a file of that very name comes first.

    Raises DataError if a pattern matches nothing, or a URL cannot be fetched; MissingToolError if the
    package for its protocol is not installed.
    """
    if os.path.lexists(pattern):
        return [Path(pattern)]
    if "://" in pattern:
        return [_fetched(pattern)]
    if not glob.has_magic(pattern):
        return [Path(pattern)]
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise DataError(f"data.source: no file matches {pattern!r} in {Path.cwd()}")
    return [Path(name) for name in found]


def file_of(name: str) -> Path:
    """The one local file of that name or URL; no pattern.

    Raises as `files_of` does.
    """
    return _fetched(name) if "://" in name and not os.path.lexists(name) else Path(name)


@functools.cache
def _fetched(url: str) -> Path:
    """The local copy, asked for once in a process."""
    system = _file_system(url)
    try:
        about = system.info(url)
        protocols = system.protocol
        if "file" in ((protocols,) if isinstance(protocols, str) else protocols):
            return Path(about["name"])
        copy = _place(url)
        version = {name: str(about[name]) for name in _TAGS if about.get(name) is not None}
        if not _is_current(copy, version):
            _fetch(system, url, copy, version)
    except DataError:
        raise
    except Exception as error:  # every protocol has its own
        reason = " ".join(str(error).splitlines()[:1])
        raise DataError(
            f"{url} cannot be fetched: {type(error).__name__}: {reason}; check the address, or fetch it by hand"
        ) from error
    return copy


def _file_system(url: str) -> Any:
    import fsspec

    protocol = url.partition("://")[0].lower()
    if protocol not in fsspec.available_protocols():
        raise DataError(
            f"{url}: no protocol {protocol!r}; {did_you_mean(protocol, fsspec.available_protocols())}"
        )
    try:
        return fsspec.filesystem(protocol)
    except ImportError as error:
        raise MissingToolError(
            f"{url}: reading {protocol}:// needs a package that is not installed: {error}; install it, or "
            "fetch the file by hand and name the copy in data.source"
        ) from error


def _place(url: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if base.startswith("~"):
        raise DataError(
            f"{url}: there is no home folder for a copy; set XDG_CACHE_HOME to a folder"
        )
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    return Path(base) / "triggerforge" / hashlib.sha256(url.encode()).hexdigest()[:16] / name


def _note(copy: Path) -> Path:
    return copy.with_name(".version.json")


def _is_current(copy: Path, version: dict[str, str]) -> bool:
    if not (copy.is_file() and _note(copy).is_file()):
        return False
    return bool(json.loads(_note(copy).read_text()) == version)


def _fetch(system: Any, url: str, copy: Path, version: dict[str, str]) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    size, free = int(version.get("size", 0)), shutil.disk_usage(copy.parent).free
    if size > free:
        raise DataError(
            f"{url} has {size} bytes, {copy.parent} has room for {free}; make room, or set "
            "XDG_CACHE_HOME to another folder"
        )
    say(f"fetches {url} ({size / 1e6:.1f} MB) to {copy}")
    partial = copy.with_name(f".{copy.name}.{os.getpid()}.partial")
    try:
        system.get_file(url, str(partial))
        got = partial.stat().st_size
        if size and got != size:
            raise DataError(f"{url}: {got} of {size} bytes came; fetch it again")
        partial.replace(copy)
    finally:
        partial.unlink(missing_ok=True)
    _note(copy).write_text(json.dumps(version))
