"""Files that appear whole or not at all, and what to say when the disk is full."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import h5py

from triggerforge.errors import DataError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write `path` into a DataError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise DataError(f"cannot write {path}: {reason}; make room and run again") from error


T = TypeVar("T")


class Hdf5Output:
    """An HDF5 file that is written to, on a disk that may be full.

    HDF5 crashes the process when it closes a file that it could not write (h5py/h5py#914). So a
    failure is kept from it: it is told that all was written, and `check` and `close` raise the failure.
    """

    def __init__(self, path: Path) -> None:
        self._raw = _Patient(path)
        self.file = h5py.File(self._raw, "w")

    def check(self) -> None:
        """Raises the OSError of the first write that failed."""
        if self._raw.failure is not None:
            raise self._raw.failure

    def close(self, kept: bool = True) -> None:
        """Raises the OSError of a write that failed; else what is `kept` is on the disk."""
        self.file.close()
        self._raw.close(kept)
        self.check()


class _Patient:
    """The file object of h5py's driver `fileobj`; its first failure is kept, not raised."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self.failure: OSError | None = None

    def _try(self, call: Callable[[], T], otherwise: T) -> T:
        if self.failure is None:
            try:
                return call()
            except OSError as error:
                self.failure = error
        return otherwise

    def write(self, data: bytes) -> int:
        self._try(lambda: self._write(memoryview(data).cast("B")), None)
        return len(data)

    def _write(self, data: memoryview) -> None:
        while len(data):  # the last part that fits is written before the disk says that it is full
            data = data[self._file.write(data) :]

    def read(self, size: int = -1) -> bytes:
        return self._try(lambda: self._file.read(size) or b"", b"")

    def readinto(self, buffer: bytearray) -> int:
        return self._try(lambda: self._file.readinto(buffer) or 0, 0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._try(lambda: self._file.seek(offset, whence), offset)

    def tell(self) -> int:
        return self._try(self._file.tell, 0)

    def truncate(self, size: int | None = None) -> int:
        return self._try(lambda: self._file.truncate(size), size or 0)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self, kept: bool) -> None:
        if kept:
            self._try(lambda: os.fsync(self._file.fileno()), None)
        self._file.close()


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
