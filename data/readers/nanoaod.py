"""CMS NanoAOD (v9 to v15): tree `Events`; by default the AK4 jets (`Jet_*`) are the network's events.

Any other collection can be: Muon, FatJet, L1Jet, ScoutingPFJet. Labels come from the configuration,
for example from Jet_partonFlavour (gen-level parton, PDG id).
"""

from pathlib import Path

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.readers.base import READERS, Reader
from triggerforge.data.readers.root import JET_KINEMATICS, RootReader, merged
from triggerforge.data.readers.trees import layout_of

TREE = "Events"
MAPPING = MappingConfig(tree=TREE, objects="Jet", columns=JET_KINEMATICS)


@READERS.register("nanoaod")
def open_nanoaod(path: Path, config: DataConfig) -> Reader:
    """A reader of NanoAOD jets, or of the collection in `mapping.objects`."""
    layout = layout_of(path, config.mapping.tree or TREE)
    return RootReader(layout, merged(MAPPING, config.mapping, layout), "nanoaod")
