"""Generated and compiled kernels, kept by a hash of what they were made from."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def kept(name: str, make: Callable[[], bytes], cache: Path | None = None) -> Path:
    """The file `name` of the cache, made unless it is there: whole, or not at all.

    Two processes may make the same at once: the last one's stays.
    """
    path = (cache or _cache_folder()) / name
    if not path.is_file():
        content = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".build-", delete=False) as file:
            file.write(content)
        Path(file.name).rename(path)
    return path


def hashed(parts: Iterable[str]) -> str:
    """A name for these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "triggerforge" / "gpu"
