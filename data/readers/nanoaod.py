"""CMS NanoAOD: tree `Events`; by default the AK4 jets (`Jet_*`) are the network's events.

Labels come from the configuration, for example from Jet_partonFlavour (gen-level parton, PDG id).
"""

from pathlib import Path

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.readers.base import READERS, Reader
from triggerforge.data.readers.root import RootReader, merged

JET_KINEMATICS = {"jet_pt": "pt", "jet_eta": "eta", "jet_phi": "phi", "jet_mass": "mass"}
MAPPING = MappingConfig(tree="Events", objects="Jet", columns=JET_KINEMATICS)


@READERS.register("nanoaod")
def open_nanoaod(path: Path, config: DataConfig) -> Reader:
    """A reader of NanoAOD jets, or of the collection in `mapping.objects`."""
    return RootReader(path, merged(MAPPING, config.mapping), "nanoaod")
