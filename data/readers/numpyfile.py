"""Rows of .npy arrays in bounded pieces, from a file or from inside an .npz; nothing is unpickled."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from triggerforge.data.readers.base import check_chunk
from triggerforge.errors import DataError, did_you_mean

_LONGEST_HEADER = 10_000
"""bytes: numpy's own limit, which it looks at after it has read the header"""


class ArrayFile:
    """An array in C order, read row by row; its header is checked against the bytes there are.

    `member` names the array inside an .npz. Raises DataError if the array is not of numbers, is in
    Fortran order, or has not the bytes that its header claims.
    """

    def __init__(self, path: Path, member: str | None = None) -> None:
        self.path = path
        self._member = member
        with self._open() as file:
            header = _header(file)
        self._start = len(header.getvalue())
        version = npy.read_magic(header)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, fortran, self.dtype = read(header)
        name = str(path) if member is None else f"{path}[{member}]"
        if self.dtype.kind not in "fiub" or fortran or not self.shape or min(self.shape) < 0:
            raise DataError(
                f"{name}: {self.dtype} of shape {self.shape}"
                f"{' in Fortran order' if fortran else ''}; save a C-ordered array of numbers"
            )
        claimed = self._start + self.row_bytes * self.shape[0]
        if claimed != self._bytes():
            raise DataError(
                f"{name}: {self._bytes()} bytes, but its header claims {claimed} "
                f"({self.dtype} of shape {self.shape}); the file is truncated or damaged"
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        items = 1
        for n in self.shape[1:]:
            items *= int(n)
        return items * int(self.dtype.itemsize)

    def rows(self, size: int) -> Iterator[NDArray[Any]]:
        """The rows in order, at most `size` at a time."""
        check_chunk(self.path, self.row_bytes, min(size, self.shape[0]))
        with self._open() as file:
            file.read(self._start)
            for first in range(0, self.shape[0], size):
                count = min(size, self.shape[0] - first)
                content = file.read(count * self.row_bytes)
                if len(content) != count * self.row_bytes:
                    raise DataError(f"{self.path} ends in row {first}; it is truncated")
                yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def _open(self) -> IO[bytes]:
        if self._member is None:
            return self.path.open("rb")
        archive = zipfile.ZipFile(self.path)
        names = archive.namelist()
        if f"{self._member}.npy" not in names:
            known = [n.removesuffix(".npy") for n in names[:1000]]
            archive.close()
            raise DataError(
                f"{self.path} has no array {self._member!r}; {did_you_mean(self._member, known)}"
            )
        member = archive.open(f"{self._member}.npy")
        archive.close()  # the member keeps the file open until it is closed itself
        return member

    def _bytes(self) -> int:
        if self._member is None:
            return self.path.stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(f"{self._member}.npy").file_size


def _header(file: IO[bytes]) -> io.BytesIO:
    """The beginning of an array file up to its data; raises ValueError if it claims to be long."""
    start = file.read(8)
    width = 2 if start[6:7] == b"\x01" else 4
    length = file.read(width)
    claimed = int.from_bytes(length, "little")
    if claimed > _LONGEST_HEADER:
        raise ValueError(f"its header claims {claimed} bytes")
    return io.BytesIO(start + length + file.read(claimed))
