"""What a hostile or unlucky hand does to an event file: bytes anywhere, and the structure of each kind."""

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.random import Generator

Mutation = Callable[[Path, Generator, Path], str]
"""Changes the file at the path; the last path is the bait, a file outside that nobody may open. Gives
back what was done."""


def flip_bytes(path: Path, rng: Generator, bait: Path) -> str:
    """Random bytes in random places, half the time near the beginning or the end."""
    content = bytearray(path.read_bytes())
    count = int(rng.choice([1, 2, 8, 64]))
    low, high = _region(rng, len(content))
    for _ in range(count):
        content[rng.integers(low, high)] = rng.choice(
            [0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]
        )
    path.write_bytes(content)
    return f"{count} bytes in {low}..{high}"


def set_number(path: Path, rng: Generator, bait: Path) -> str:
    """A length, an offset or a count that is absurd, in either byte order."""
    content = bytearray(path.read_bytes())
    low, high = _region(rng, len(content))
    at = int(rng.integers(low, high))
    value = int(rng.choice([0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1]))
    code = str(rng.choice(["<I", ">I", "<Q", ">Q"]))
    packed = struct.pack(code, value % 2 ** (32 if code[1] == "I" else 64))
    content[at : at + len(packed)] = packed
    path.write_bytes(content)
    return f"{code} {value} at {at}"


def cut(path: Path, rng: Generator, bait: Path) -> str:
    """The end is missing, or a piece in the middle."""
    content = path.read_bytes()
    at = int(rng.integers(len(content)))
    after = int(rng.integers(at, len(content) + 1)) if rng.random() < 0.5 else len(content)
    path.write_bytes(content[:at] + content[after:])
    return f"without {at}..{after}"


def repeat(path: Path, rng: Generator, bait: Path) -> str:
    """A piece stands in the place of another, or twice."""
    content = path.read_bytes()
    size = int(rng.integers(1, min(len(content), 4096) + 1))
    source, target = (int(n) for n in rng.integers(0, len(content) - size + 1, 2))
    piece = content[source : source + size]
    over = size if rng.random() < 0.5 else 0
    path.write_bytes(content[:target] + piece + content[target + over :])
    return f"{size} bytes of {source} at {target}, over {over}"


def _region(rng: Generator, size: int) -> tuple[int, int]:
    edge = min(size, 2048)
    return [(0, size), (0, size), (0, edge), (size - edge, size)][int(rng.integers(4))]


BYTES: tuple[Mutation, ...] = (flip_bytes, set_number, cut, repeat)


class _Touch:
    """A pickle that opens the bait where it is loaded."""

    def __init__(self, bait: Path) -> None:
        self._bait = bait

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._bait),)


def _names(file: h5py.File, kind: type) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, kind) else None)
    return sorted(found)


def _replaced(path: Path, rng: Generator, make: Callable[[h5py.File, str, Any], Any]) -> str:
    """A dataset taken out and `make`d anew from its name and values."""
    with h5py.File(path, "a") as file:
        name = str(rng.choice(_names(file, h5py.Dataset)))
        data = file[name]
        packed = [data.id.get_create_plist().get_filter(i)[0] for i in range(_filters(data))]
        values = np.zeros(data.shape, data.dtype) if 32001 in packed else data[()]
        attributes = dict(data.attrs)
        del data, file[name]
        try:
            make(file, name, values)
        except (
            ValueError,
            IndexError,
            TypeError,
            OverflowError,
        ) as error:  # h5py does not write it
            return f"without {name}: {error}"
        if isinstance(file.get(name, getlink=True), h5py.HardLink):
            for key, value in attributes.items():
                file[name].attrs[key] = value
    return f"{make.__name__} of {name}"


def _filters(data: h5py.Dataset) -> int:
    return int(data.id.get_create_plist().get_nfilters())


def reach_outside(path: Path, rng: Generator, bait: Path) -> str:
    """A link, raw storage or a virtual dataset that leads to the bait."""

    def external_link(file: h5py.File, name: str, values: Any) -> None:
        file[name] = h5py.ExternalLink(str(bait), name)

    def storage(file: h5py.File, name: str, values: Any) -> None:
        where = [(str(bait), 0, max(values.nbytes, 1))]
        file.create_dataset(name, values.shape, values.dtype, external=where)

    def virtual(file: h5py.File, name: str, values: Any) -> None:
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[...] = h5py.VirtualSource(str(bait), name, values.shape)
        file.create_virtual_dataset(name, layout)

    def circle(file: h5py.File, name: str, values: Any) -> None:
        file[name] = h5py.SoftLink(f"/{name}")

    return _replaced(path, rng, [external_link, storage, virtual, circle][int(rng.integers(4))])


def claim(path: Path, rng: Generator, bait: Path) -> str:
    """A dataset of another shape: too many rows, too large chunks, rows that are not there."""

    def many_rows(file: h5py.File, name: str, values: Any) -> None:
        shape = (10**9, *values.shape[1:])
        file.create_dataset(name, shape, values.dtype, chunks=(1000, *values.shape[1:]))

    def huge_chunk(file: h5py.File, name: str, values: Any) -> None:
        shape = (2 * 10**8, *values.shape[1:])
        file.create_dataset(name, shape, values.dtype, chunks=shape, compression="gzip")

    def gaps(file: h5py.File, name: str, values: Any) -> None:
        chunks = (3, *values.shape[1:])
        data = file.create_dataset(name, values.shape, values.dtype, chunks=chunks)
        data[: len(values) // 2] = values[: len(values) // 2]

    def other_shape(file: h5py.File, name: str, values: Any) -> None:
        file[name] = values[: len(values) // 2] if rng.random() < 0.5 else values.reshape(-1)

    def scalar(file: h5py.File, name: str, values: Any) -> None:
        file[name] = h5py.Empty("f4") if rng.random() < 0.5 else 1.0

    ways = [many_rows, huge_chunk, gaps, other_shape, scalar]
    return _replaced(path, rng, ways[int(rng.integers(len(ways)))])


def other_type(path: Path, rng: Generator, bait: Path) -> str:
    """Texts, records, complex numbers, half floats, or NaN where numbers were."""

    def retyped(file: h5py.File, name: str, values: Any) -> None:
        kind = int(rng.integers(5))
        if kind == 0 or values.dtype.kind not in "fiub":
            file[name] = np.full(values.shape, b"text")
        elif kind == 1:
            file[name] = np.zeros(values.shape, [("a", "f4"), ("b", "i8")])
        elif kind == 2:
            file[name] = values.astype(np.complex64)
        elif kind == 3:
            file[name] = values.astype(np.float16)
        else:
            spoilt = values.astype(np.float64)
            spoilt[rng.random(values.shape) < 0.1] = rng.choice([np.nan, np.inf, -1.0])
            file[name] = spoilt

    with np.errstate(all="ignore"):
        return _replaced(path, rng, retyped)


def attribute(path: Path, rng: Generator, bait: Path) -> str:
    """An attribute of another content: pickles that run, nest or claim memory; other types."""
    lists: list[Any] = ["a"]
    for _ in range(30):
        lists = [lists] * 10
    contents: list[Any] = [
        np.bytes_(pickle.dumps(_Touch(bait), 0)),
        np.bytes_(pickle.dumps(lists, 0)),
        np.bytes_(b"]r\xff\xff\xff\x7f."),
        np.bytes_(b"\x80\x05\x96\x00\x00\x00\x00\x01\x00\x00\x00."),
        np.bytes_(rng.bytes(40)),
        np.bytes_(b"frame" if rng.random() < 0.5 else b"frame_table"),
        np.arange(1000),
        h5py.Empty("f4"),
        "text",
    ]
    with h5py.File(path, "a") as file:
        places = [
            (name, key)
            for name in [*_names(file, h5py.Group), *_names(file, h5py.Dataset)]
            for key in file[name].attrs
        ]
        if not places:
            return "nothing: no attributes"
        name, key = places[int(rng.integers(len(places)))]
        which = int(rng.integers(len(contents)))
        file[name].attrs[key] = contents[which]
    return f"attribute {key} of {name}: content {which}"


HDF5: tuple[Mutation, ...] = (reach_outside, claim, other_type, attribute)


def archive_member(path: Path, rng: Generator, bait: Path) -> str:
    """A member of a zip archive is gone, cut, another array, or a pickle."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = str(rng.choice(sorted(members)))
    what = int(rng.integers(5))
    if what == 0:
        del members[name]
    elif what == 1:
        members[name] = members[name][: int(rng.integers(len(members[name])))]
    else:
        members[name] = _array(members[name], rng, bait)
    kind = zipfile.ZIP_DEFLATED if rng.random() < 0.5 else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return f"member {name}: {what}"


def array_header(path: Path, rng: Generator, bait: Path) -> str:
    """The header of an array says something else."""
    path.write_bytes(_array(path.read_bytes(), rng, bait))
    return "header"


def _array(content: bytes, rng: Generator, bait: Path) -> bytes:
    """An array file with another header, or with a pickle in it."""
    what = int(rng.integers(5))
    if what == 0:
        head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
        return _magic(head) + pickle.dumps([_Touch(bait)])
    if what == 1:
        return b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + content[10:]
    shapes = ["(10**9, 4)", "(1000000000, 30, 4)", "(-1, -30, 4)", "(60, 4)", "()", "(True, 2.5)"]
    shape = str(rng.choice(shapes)) if what < 4 else "(" * 50 + ")" * 50
    descr = str(rng.choice(["<f8", "<f2", "<c16", "|S8", "<M8[s]", "<f16", "|V1000000", "x"]))
    order = bool(rng.random() < 0.2)
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
    return _magic(text.encode().ljust(117) + b"\n") + content[128:]


def _magic(head: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


def table_column(path: Path, rng: Generator, bait: Path) -> str:
    """A column of another type, with holes, or none."""
    table = pq.read_table(path)
    place = int(rng.integers(table.num_columns))
    name, rows = table.column_names[place], table.num_rows
    columns: list[Any] = [
        pa.array(np.arange(rows).astype("M8[s]")),
        pa.array(["text"] * rows),
        pa.array([[1.0, None]] * rows),
        pa.array([None if i % 3 else [float(i)] for i in range(rows)]),
        pa.array([None if i % 3 else i for i in range(rows)]),
        pa.array([[{"a": i, "b": "c"}] for i in range(rows)]),
        pa.nulls(rows),
        pa.array([[[1]]] * rows),
        pa.array([True] * rows),
    ]
    which = int(rng.integers(len(columns) + 1))
    if which == len(columns):
        table = table.drop_columns(name)
    else:
        table = table.set_column(place, name, columns[which])
    pq.write_table(table, path)
    return f"column {name}: {which}"


STRUCTURE: dict[str, tuple[Mutation, ...]] = {
    ".h5": HDF5,
    ".npz": (archive_member,),
    ".npy": (array_header,),
    ".parquet": (table_column,),
}
"""ending -> what can be done to the structure of such files"""


def mutate(path: Path, rng: Generator, bait: Path) -> str:
    """One change at random, of the structure in half the cases, at times bytes on top of it."""
    own = STRUCTURE.get(path.suffix, ())
    done = []
    if own and rng.random() < 0.5:
        done.append(own[int(rng.integers(len(own)))](path, rng, bait))
    if not done or rng.random() < 0.3:
        done.append(BYTES[int(rng.integers(len(BYTES)))](path, rng, bait))
    return ", ".join(done)
