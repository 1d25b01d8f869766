"""From a path to its reader: the format is given, or found by looking into the file."""

from pathlib import Path

import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.generator.l1.schema import TREE as CROSSINGS
from triggerforge.data.generator.schema import TREE as GENERATED
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
from triggerforge.data.readers.base import READERS, Reader, check_file, reading
from triggerforge.data.readers.hdf5 import children, opened
from triggerforge.data.readers.pandastable import frames
from triggerforge.data.readers.parquettable import MAGIC, ParquetTable
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
    if "::" not in str(path):
        return
    with path.open("rb") as file:
        if file.read(4) == b"root":
            raise DataError(
                f"{path}: a ROOT file with '::' in its path cannot be opened; rename it"
            )


def sniff(path: Path, config: DataConfig) -> str:
    """The format of a file, by its first bytes, then by the names in it; raises DataError."""
    with path.open("rb") as file:
        magic = file.read(8)
    if magic[:4] == b"root":
        return _sniff_root(path, config)
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
    with reading(path, root.LAYOUT), uproot.open(path) as file:
        tree = root.find_tree(file, path, config.mapping.tree or _known_tree(file))
        branches = {str(name) for name in tree.keys(recursive=False)}
    if "PFCands_pt" in branches:
        return "pfnano"
    if "nJet" in branches or "Jet_pt" in branches:
        return "nanoaod"
    if {"part_px", "label_QCD"} <= branches:
        return "jetclass"
    if l1nano.MARK in branches:
        return "l1nano"
    if branches >= l1.MARKS:
        return "l1"
    return "generator" if generator.MARK in branches else "root"


def _known_tree(file: uproot.ReadOnlyDirectory) -> str | None:
    return next((name for name in ("Events", GENERATED, CROSSINGS, "tree") if name in file), None)


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
