"""JetClass (Qu, Li, Qian; Zenodo 6619768): tree `tree`, one jet an entry.

Jagged part_px, part_py, part_pz, part_energy [GeV], part_deta, part_dphi, part_charge, impact
parameters and class flags; jet_pt, jet_eta, jet_phi, …; ten flags label_*. A file may have a part of
them: its classes are those whose flag it holds.
"""

from pathlib import Path

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.readers.base import READERS, Reader
from triggerforge.data.readers.root import RootReader, merged
from triggerforge.data.readers.trees import layout_of

TREE = "tree"
CLASSES = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
MAPPING = MappingConfig(
    tree=TREE,
    constituents={
        "px": "part_px",
        "py": "part_py",
        "pz": "part_pz",
        "energy": "part_energy",
        "deta": "part_deta",
        "dphi": "part_dphi",
        "charge": "part_charge",
        "is_charged_hadron": "part_isChargedHadron",
        "is_neutral_hadron": "part_isNeutralHadron",
        "is_photon": "part_isPhoton",
        "is_electron": "part_isElectron",
        "is_muon": "part_isMuon",
    },
)


@READERS.register("jetclass")
def open_jetclass(path: Path, config: DataConfig) -> Reader:
    """A reader of JetClass files."""
    layout = layout_of(path, config.mapping.tree or TREE)
    classes = tuple(c for c in CLASSES if layout.find(f"label_{c}"))
    label = tuple(f"label_{c}" for c in classes) or None
    return RootReader(layout, merged(MAPPING, config.mapping, layout), "jetclass", classes, label)
