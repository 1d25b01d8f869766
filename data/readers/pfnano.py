"""CMS PFNano: NanoAOD with particle-flow candidates, linked to the jets by index tables.

FatJetPFCands_jetIdx and FatJetPFCands_pFCandsIdx (JetPFCands_… for the AK4 jets) pair the jets of
an event with its `PFCands_*`. `mapping.objects: Jet` takes the AK4 jets and their table.
"""

from pathlib import Path

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.readers.base import READERS, Reader
from triggerforge.data.readers.nanoaod import JET_KINEMATICS
from triggerforge.data.readers.root import RootReader, merged

CONSTITUENTS = {
    "pt": "pt",
    "eta": "eta",
    "phi": "phi",
    "mass": "mass",
    "charge": "charge",
    "pdgid": "pdgId",
}


@READERS.register("pfnano")
def open_pfnano(path: Path, config: DataConfig) -> Reader:
    """A reader of jets with their particle-flow candidates."""
    objects = config.mapping.objects or "FatJet"
    preset = MappingConfig(
        tree="Events",
        objects=objects,
        columns=JET_KINEMATICS,
        constituents=CONSTITUENTS,
        candidates="PFCands",
        links=f"{objects}PFCands",
    )
    return RootReader(path, merged(preset, config.mapping), "pfnano")
