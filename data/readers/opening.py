"""From a path to its reader: the format is given, or found by looking into the file."""

from pathlib import Path

from triggerforge.config.data import DataConfig
from triggerforge.data.readers import (
    adc2021,
    energyflow,
    generator,
    jetclass,
    l1,
    l1nano,
    lhcjets,
    lhcjets16,
    lhco,
    nanoaod,
    parquet,
    pfnano,
    regions,
    root,
    toptag,
)
from triggerforge.data.readers.base import READERS, Reader, check_file
from triggerforge.data.readers.hdf5 import children, opened
from triggerforge.data.readers.pandastable import frames
from triggerforge.data.readers.parquettable import MAGIC, ParquetTable
from triggerforge.data.readers.trees import layout_of
from triggerforge.errors import DataError

FORMATS = (
    *(generator, nanoaod, pfnano, jetclass, root, toptag, lhcjets, lhcjets16, energyflow, lhco),
    *(l1, l1nano, adc2021, regions, parquet),
)
"""The modules that register a format, one each."""

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_BY_NAME = {
    ".arff": "lhcjets16",
    ".npz": "energyflow",
    ".npy": "energyflow",
}


def open_reader(path: Path, config: DataConfig) -> Reader:
    """The reader of `path`, in the format of the configuration.

    Raises DataError if the file is missing, empty, damaged, or of another format.
    """
    check_file(path)
    _require_plain_name(path)
    name = sniff(path, config) if config.format == "auto" else config.format
    reader = READERS[name](path, config)
    if reader.entries == 0:
        raise DataError(f"{path} has no entries; it holds the structure of a data set only")
    return reader


def _require_plain_name(path: Path) -> None:
    """uproot takes `::` in a name for a chain of file systems, and opens what stands before it."""
    if "::" in str(path) and is_root(path):
        raise DataError(f"{path}: a ROOT file with '::' in its path cannot be opened; rename it")


def is_root(path: Path) -> bool:
    """Whether a file's first bytes are those of a ROOT file."""
    with path.open("rb") as file:
        return file.read(4) == b"root"


def sniff(path: Path, config: DataConfig) -> str:
    """The format of a file, by its first bytes, then by the names in it; raises DataError."""
    if is_root(path):
        return _sniff_root(path, config)
    with path.open("rb") as file:
        magic = file.read(8)
    if magic == _HDF5_MAGIC:
        return _sniff_hdf5(path)
    if magic[:4] == MAGIC:
        return "lhcjets16" if lhcjets16.is_table_of(ParquetTable(path).names) else "parquet"
    if path.suffix in _BY_NAME:
        return _BY_NAME[path.suffix]
    raise DataError(
        f"{path}: begins with {magic!r}, neither ROOT nor HDF5 nor parquet, and {path.suffix!r} is none of "
        f"{', '.join(_BY_NAME)}; set data.format to one of {', '.join(READERS)}"
    )


def _sniff_root(path: Path, config: DataConfig) -> str:
    layout = layout_of(path, config.mapping.tree)
    names = {name.replace(".", "_") for name in layout.columns}
    name = layout.tree.split("/")[-1]
    if name == nanoaod.TREE and not names.isdisjoint(f"{c}_pt" for c in pfnano.CANDIDATES):
        return "pfnano"
    if name == nanoaod.TREE and "Jet_pt" in names:
        return "nanoaod"
    if name == jetclass.TREE and any(f"label_{c}" in names for c in jetclass.CLASSES):
        return "jetclass"
    if l1nano.MARK in names:
        return "l1nano"
    if names >= l1.MARKS:
        return "l1"
    return "generator" if generator.MARK in names else "root"


def _sniff_hdf5(path: Path) -> str:
    with opened(path, "HDF5") as file:
        names = {name for name, _ in children(file)}
        kinds = list(frames(file).values())
    if "jetConstituentList" in names:
        return "lhcjets"
    if adc2021.DATASET in names:
        return "adc2021"
    if names.intersection(regions.DATASETS):
        return "regions"
    if kinds:
        return "toptag" if kinds[0] == b"frame_table" else "lhco"
    raise DataError(
        f"{path}: an HDF5 file with {', '.join(sorted(names)[:8])}; no known layout. Formats: "
        + ", ".join(READERS)
    )
