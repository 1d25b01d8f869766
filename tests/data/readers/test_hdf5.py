"""HDF5 that reaches outside itself, claims what it has not, or was never written: one error each."""

import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from triggerforge.config.data import DataConfig
from triggerforge.data.readers.opening import open_reader
from triggerforge.data.readers.pandastable import plain_names
from triggerforge.data.source import Count, EventSource
from triggerforge.errors import DataError, MissingToolError
from triggerforge.validation.guard import Bait
from triggerforge.validation.sandbox import limited

Write = Callable[..., Path]
LISTS = "jetConstituentList"
INPUTS: dict[str, Any] = {"inputs": {"kind": "constituents", "constituents": 4}}
CLASSES: dict[str, Any] = {"lhcjets": ["g", "q"]}


def read(path: Path, layout: str = "lhcjets", **settings: Any) -> np.ndarray:
    settings = {"format": layout, "classes": CLASSES.get(layout, [])} | INPUTS | settings
    source = EventSource(path, DataConfig.model_validate(settings))
    return np.concatenate([batch.inputs.raw for batch in source.batches(Count())])


def moved(path: Path, name: str, folder: Path) -> tuple[Path, np.ndarray]:
    """The dataset taken out of the file, into one of the same name in another folder."""
    folder.mkdir()
    with h5py.File(path, "a") as file:
        values = file[name][:]
        del file[name]
    with h5py.File(folder / "other.h5", "w") as file:
        file[name] = values
    return folder / "other.h5", values


def _external_link(file: h5py.File, other: Path, values: np.ndarray) -> None:
    file[LISTS] = h5py.ExternalLink(str(other), f"/{LISTS}")


def _group_of_links(file: h5py.File, other: Path, values: np.ndarray) -> None:
    file["there"] = h5py.ExternalLink(str(other), "/")
    file[LISTS] = h5py.SoftLink(f"/there/{LISTS}")


def _external_storage(file: h5py.File, other: Path, values: np.ndarray) -> None:
    raw = other.with_suffix(".raw")
    values.tofile(raw)
    storage = [(str(raw), 0, values.nbytes)]
    file.create_dataset(LISTS, values.shape, values.dtype, external=storage)


def _virtual(file: h5py.File, other: Path, values: np.ndarray) -> None:
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(str(other), LISTS, values.shape)
    file.create_virtual_dataset(LISTS, layout)


REACHES = {
    f.__name__[1:]: f for f in (_external_link, _group_of_links, _external_storage, _virtual)
}


@pytest.mark.parametrize("reach", REACHES)
def test_nothing_outside_the_file_is_read(
    reach: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written("lhcjets", jets)
    other, values = moved(path, LISTS, tmp_path / "elsewhere")
    with h5py.File(path, "a") as file:
        REACHES[reach](file, other, values)
    with Bait(other.parent) as bait:
        with pytest.raises(
            DataError,
            match=rf"lhcjets\.h5: .*elsewhere/other\.{'raw' if 'storage' in reach else 'h5'}",
        ):
            read(path)
        assert not bait.taken()


@pytest.mark.parametrize("layout", ["toptag", "lhco"])
def test_a_frame_that_is_a_link_is_not_followed(
    layout: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """Looking for frames, for the format as for reading, follows no link either."""
    path = written(layout, jets)
    other = path.rename(tmp_path / "frame.h5")
    with h5py.File(path, "w") as file:
        file["table"] = h5py.ExternalLink(str(other), "/")
    for settings in ({}, {"format": layout}):
        with pytest.raises(DataError, match="no known layout|0 pandas frames"):
            open_reader(path, DataConfig.model_validate(settings))


def test_a_virtual_dataset_of_a_file_that_is_gone(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    """HDF5 gives zeros for it."""
    path = written("lhcjets", jets)
    other, values = moved(path, LISTS, tmp_path / "elsewhere")
    with h5py.File(path, "a") as file:
        _virtual(file, other, values)
    other.unlink()
    with pytest.raises(DataError, match=r"elsewhere/other\.h5', which is not there"):
        read(path)


def test_links_in_circles(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("lhcjets", jets)
    with h5py.File(path, "a") as file:
        del file[LISTS]
        file[LISTS], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink(f"/{LISTS}")
    with pytest.raises(DataError, match=r"lhcjets\.h5: the links of .* lead in circles"):
        read(path)


def test_links_within_the_file_are_followed(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("lhcjets", jets)
    expected = read(path)
    with h5py.File(path, "a") as file:
        file["deep/inside/lists"] = file[LISTS]
        del file[LISTS]
        file["deep/alias"] = h5py.SoftLink("inside")
        file[LISTS] = h5py.SoftLink("/deep/alias/lists")
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize(
    ("options", "wrote", "gap"),
    [
        ({"chunks": (10, 150, 16)}, slice(0, 40), "about 20 were never written, from row 40"),
        ({"chunks": (10, 50, 4), "compression": "gzip"}, slice(20, 60), "about 20 .* from row 0"),
        ({}, slice(0, 0), "about 60 were never written"),
    ],
)
def test_rows_that_were_never_written(
    options: dict[str, Any], wrote: slice, gap: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written("lhcjets", jets)
    with h5py.File(path, "a") as file:
        values = file[LISTS][:]
        del file[LISTS]
        data = file.create_dataset(LISTS, values.shape, values.dtype, **options)
        if wrote.stop:
            data[wrote] = values[wrote]
    with pytest.raises(DataError, match=rf"lhcjets\.h5: dataset '/{LISTS}' claims 60 rows.*{gap}"):
        read(path)


def test_padding_that_was_never_written_is_no_gap(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    """Who fills only the places that hold something leaves chunks of padding out: zeros are meant."""
    path = written("lhcjets", jets)
    expected = read(path)
    with h5py.File(path, "a") as file:
        values = file[LISTS][:]
        del file[LISTS]
        data = file.create_dataset(LISTS, values.shape, values.dtype, chunks=(10, 50, 16))
        data[:, :20] = values[:, :20]
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda f, v: f.create_dataset(LISTS, (10**9, 150, 16), "f8", chunks=(1000, 150, 16)),
            "never written|constituents",
        ),
        (
            lambda f, v: f.create_dataset(LISTS, (60, 150, 16), "f8", chunks=(60, 150, 16)).resize(
                (60, 150, 16)
            ),
            "never written",
        ),
        (lambda f, v: f.create_dataset(LISTS, data=np.full(v.shape, "a", "S4")), "S4, numbers are"),
        (
            lambda f, v: f.create_dataset(LISTS, v.shape, np.dtype([("a", "f8")])),
            "numbers are due",
        ),
        (lambda f, v: f.create_dataset(LISTS, data=v.astype("c16")), "complex128, numbers are due"),
        (lambda f, v: f.create_dataset(LISTS, data=h5py.Empty("f4")), "is no array"),
        (lambda f, v: f.create_dataset(LISTS, data=3.0), "is no array"),
        (lambda f, v: f.create_dataset(LISTS, v.shape, h5py.ref_dtype), "numbers are due"),
        (lambda f, v: f.create_group(LISTS), "has no dataset 'jetConstituentList'"),
    ],
)
def test_datasets_of_other_things(
    make: Callable[..., Any], message: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written("lhcjets", jets)
    with h5py.File(path, "a") as file:
        values = file[LISTS][:]
        del file[LISTS]
        make(file, values)
    with pytest.raises(DataError, match=rf"lhcjets\.h5.*({message})"):
        read(path)


def test_one_huge_chunk_is_refused_before_it_is_unpacked(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    """Zeros of 1.5 GB in 1.5 MB: the process stays small."""
    path = written("lhcjets", jets)
    with h5py.File(path, "a") as file:
        del file[LISTS]
        shape = (60, 200_000, 16)
        data = file.create_dataset(LISTS, shape, "f8", chunks=shape, compression="gzip")
        import zlib

        packed = zlib.compressobj(9)
        block = bytes(2**24)
        left, pieces = 60 * 200_000 * 16 * 8, []
        while left:
            pieces.append(packed.compress(block[: min(left, len(block))]))
            left -= min(left, len(block))
        data.id.write_direct_chunk((0, 0, 0), b"".join([*pieces, packed.flush()]))
    assert path.stat().st_size < 4e6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="chunks of 1536000000 bytes, 512 MiB are allowed"):
        read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_large_chunk_is_unpacked_once(tmp_path: Path, jets: Any, written: Write) -> None:
    """Small pieces of a large chunk: HDF5's own cache of 1 MiB would unpack it for each of them."""
    path = written("lhcjets", jets)
    expected = read(path)
    with h5py.File(path, "a") as file:
        values = file[LISTS][:]
        del file[LISTS]
        whole = np.zeros((60, 150, 16))
        whole[:] = values
        file.create_dataset(LISTS, data=whole, chunks=whole.shape, compression="gzip")
    with h5py.File(path) as file:
        from triggerforge.data.readers.hdf5 import dataset

        access = dataset(file, path, LISTS).id.get_access_plist()
        assert access.get_chunk_cache()[1] >= whole.nbytes > 2**20
    np.testing.assert_array_equal(read(path, chunk=1), expected)


def test_unknown_compression_is_named(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("toptag", jets, complib="bzip2", complevel=5)
    with pytest.raises(MissingToolError, match=r"'/table/table' is compressed .* 307 \(bzip2\)"):
        read(path, "toptag")


@pytest.mark.parametrize("layout", ["toptag", "lhco"])
@pytest.mark.parametrize("complib", ["blosc", "blosc:zstd", "zlib"])
def test_blosc_in_every_part_of_a_frame(
    layout: str, complib: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """Also in the block of the names, which the LHC Olympics files have compressed."""
    path = written(layout, jets)
    expected = read(path, layout)
    name = {"toptag": "table", "lhco": "df"}[layout]
    frame = pd.read_hdf(path, name)
    options = {"format": "table"} if layout == "toptag" else {}
    frame.to_hdf(path, key=name, mode="w", complib=complib, complevel=9, **options)
    if layout == "lhco" and complib != "zlib":
        with h5py.File(path) as file:
            items = file["df/block0_items"].id.get_create_plist()
            assert items.get_filter(0)[0] == 32001
    for chunk in (7, 1000):
        np.testing.assert_array_equal(read(path, layout, chunk=chunk), expected)


def test_a_damaged_blosc_chunk(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("toptag", jets, complib="blosc", complevel=5)
    with h5py.File(path, "a") as file:
        data = file["table/table"]
        mask, packed = data.id.read_direct_chunk((0,))
        for damaged in (
            packed[:40],
            packed[:4] + b"\xff\xff\xff\x7f" + packed[8:],
            bytes(len(packed)),
        ):
            data.id.write_direct_chunk((0,), damaged, mask)
            file.flush()
            with pytest.raises(DataError, match=r"toptag\.h5"):
                read(path, "toptag")


def test_blocks_of_a_frame_that_disagree(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("lhco", jets)
    with h5py.File(path, "a") as file:
        group = file["df"]
        group["block1_values"], group["block1_items"] = np.zeros((59, 1)), [b"x"]
    with pytest.raises(DataError, match=r"blocks of \[59, 60\] rows"):
        read(path, "lhco")


def _nested(depth: int, width: int = 10) -> bytes:
    """A list of ten times the list before, `depth` deep: few bytes, 10^depth leaves."""
    lists: list[Any] = ["a"]
    for _ in range(depth):
        lists = [lists] * 10
    return pickle.dumps([lists] * width, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_nested(30), "one is of type list"),
        (b"(lp0\nVa\np1\na(ta.", "one is of type tuple"),
        (pickle.dumps([{}]), "EMPTY_DICT is not allowed"),
        (pickle.dumps([frozenset()], 4), "not allowed"),
        (b"cos\nsystem\n(S'true'\ntR.", "asks for os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "STACK_GLOBAL is not allowed"),
        (b"\x80\x05\x96\x00\x00\x00\x00\x01\x00\x00\x00.", "plain list"),
        (b"]r\xff\xff\xff\x7f.", "no place 2147483647"),
        (b"", "plain list"),
        (b"]", "plain list"),
        (b"(lp0\nVa", "plain list"),
    ],
)
def test_names_that_are_no_plain_list(content: bytes, message: str, tmp_path: Path) -> None:
    """Seen in a process of its own: the first one took minutes, the place 2^31 asks for 32 GiB."""
    outcome = limited(lambda: str(plain_names(content, "x.h5")), tmp_path)
    assert outcome.kind == "refused" and message in outcome.text.replace("\\", ""), outcome


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_names_in_every_protocol(protocol: int) -> None:
    names = ["E_0", "Ä", "E_0" * 100]
    assert plain_names(pickle.dumps(names, protocol), "x.h5") == names
    assert plain_names(pickle.dumps([0, 1, 2.5], protocol), "x.h5") == ["0", "1", "2.5"]
    assert plain_names(pickle.dumps("index", protocol), "x.h5") is None


def test_nested_names_in_a_real_file(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("toptag", jets)
    with h5py.File(path, "a") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(_nested(30, 804))
    outcome = limited(lambda: str(read(path, "toptag")), tmp_path)
    assert outcome.kind == "refused" and "plain list" in outcome.text, outcome
