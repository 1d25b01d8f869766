"""The tree that `triggerforge generate` writes: `jets`, one jet an entry."""

from pathlib import Path

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.readers.base import READERS, Reader
from triggerforge.data.readers.root import RootReader, merged

TREE = "jets"
MARK = "part_class"
"""a branch that tells this tree from others"""
MAPPING = MappingConfig(
    tree=TREE,
    constituents={
        "pt": "part_pt",
        "eta": "part_eta",
        "phi": "part_phi",
        "energy": "part_energy",
        "px": "part_px",
        "py": "part_py",
        "pz": "part_pz",
        "charge": "part_charge",
        "is_charged_hadron": "part_class == 0",
        "is_neutral_hadron": "part_class == 1",
        "is_photon": "part_class == 2",
        "is_electron": "part_class == 3",
        "is_muon": "part_class == 4",
    },
)


@READERS.register("generator")
def open_generator(path: Path, config: DataConfig) -> Reader:
    """A reader of generated jets."""
    return RootReader(path, merged(MAPPING, config.mapping), "generator")
