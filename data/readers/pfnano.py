"""CMS PFNano and NanoAODv15: NanoAOD with particle-flow candidates, linked to the jets by index tables.

PFNano pairs the jets of an event with its `PFCands_*` in FatJetPFCands_* (JetPFCands_* for the AK4
jets), NanoAODv15 with its `PFCand_*` in FatJetPFCand_*. `mapping.objects: Jet` takes the AK4 jets and
their table. A file without the table is read as NanoAOD: its jets have no constituents.
"""

from pathlib import Path

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.readers.base import READERS, Reader
from triggerforge.data.readers.nanoaod import TREE
from triggerforge.data.readers.root import JET_KINEMATICS, RootReader, merged
from triggerforge.data.readers.trees import layout_of

CANDIDATES = ("PFCands", "PFCand")
"""the collection of candidates, and the second part of the table's name: PFNano's, NanoAODv15's"""
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
    layout = layout_of(path, config.mapping.tree or TREE)
    objects = config.mapping.objects or "FatJet"
    preset = MappingConfig(tree=TREE, objects=objects, columns=JET_KINEMATICS)
    own = config.mapping
    for candidates in CANDIDATES:
        links = own.links or objects + candidates
        if layout.members(own.candidates or candidates) and layout.members(links):
            update = {"candidates": candidates, "links": links, "constituents": CONSTITUENTS}
            preset = preset.model_copy(update=update)
            break
    return RootReader(layout, merged(preset, own, layout), "pfnano")
