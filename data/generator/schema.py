"""The branches of the tree `jets`: type, unit, meaning."""

import json
from dataclasses import asdict, dataclass

from triggerforge.data.features import HIGH_LEVEL
from triggerforge.data.generator.particles import Kind

TREE = "jets"
BRANCH_DOCS = "branches"
"""name of the string in the ROOT file that describes the branches, as JSON"""


@dataclass(frozen=True)
class Branch:
    """One branch; `jagged` ones hold one value per constituent."""

    type: str
    unit: str
    doc: str
    jagged: bool = False


_KINDS = ", ".join(f"{kind.value} {kind.name.lower().replace('_', ' ')}" for kind in Kind)
_FEATURE_DOCS = {
    "j_zlogz": "sum of x log x over the constituents, x = E_i / E_jet",
    "j_mass_mmdt": "mass of the groomed jet",
    "j_multiplicity": "number of constituents, not groomed",
}


def _feature(name: str) -> Branch:
    groomed = f"energy correlator {name[2:].removesuffix('_mmdt').upper()} of the groomed jet"
    unit = "GeV" if name == "j_mass_mmdt" else "1"
    return Branch("float32", unit, _FEATURE_DOCS.get(name, groomed))


JET_BRANCHES = {
    "label": Branch("int32", "1", "class of the jet: index into `classes`"),
    "event": Branch("int64", "1", "number of the collision event; its jets share it"),
    "jet_pt": Branch("float32", "GeV", "transverse momentum"),
    "jet_eta": Branch("float32", "1", "pseudorapidity"),
    "jet_phi": Branch("float32", "rad", "azimuth"),
    "jet_mass": Branch("float32", "GeV", "mass, not groomed"),
    "jet_energy": Branch("float32", "GeV", "energy"),
} | {name: _feature(name) for name in HIGH_LEVEL}

PART_BRANCHES = {
    "pt": Branch("float32", "GeV", "transverse momentum; constituents fall in it", True),
    "eta": Branch("float32", "1", "pseudorapidity", True),
    "phi": Branch("float32", "rad", "azimuth", True),
    "energy": Branch("float32", "GeV", "energy", True),
    "px": Branch("float32", "GeV", "momentum along x", True),
    "py": Branch("float32", "GeV", "momentum along y", True),
    "pz": Branch("float32", "GeV", "momentum along the beam", True),
    "deta": Branch("float32", "1", "eta relative to the jet axis", True),
    "dphi": Branch("float32", "rad", "phi relative to the jet axis, in [-pi, pi)", True),
    "charge": Branch("int32", "e", "electric charge", True),
    "class": Branch("int32", "1", f"kind of constituent: {_KINDS}", True),
}
"""without the prefix `part_` that they have in the file"""


def describe(classes: tuple[str, ...]) -> str:
    """JSON: the class names by label, and type, unit and meaning of every branch."""
    counter = Branch("int32", "1", "number of constituents written")
    branches = JET_BRANCHES | {"npart": counter}
    branches |= {f"part_{name}": branch for name, branch in PART_BRANCHES.items()}
    return json.dumps(
        {"classes": classes, "branches": {n: asdict(b) for n, b in branches.items()}}, indent=1
    )
