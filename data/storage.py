"""Files that appear whole or not at all, and what to say when the disk is full."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triggerforge.errors import DataError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write `path` into a DataError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise DataError(f"cannot write {path}: {reason}; make room and run again") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`: renamed at the end, removed after an error.

    Raises DataError if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
