"""The branches of the tree `crossings`: type, unit, meaning, and the hardware scales of integers."""

import json
from dataclasses import asdict

from triggerforge.data.generator.l1.processes import STRATA
from triggerforge.data.generator.schema import BRANCH_DOCS, Branch
from triggerforge.data.l1.layout import INPUTS, REGION, SCALES

TREE = "crossings"
ABOUT = BRANCH_DOCS
BACKGROUND = "background"

BRANCHES = {
    "label": Branch("int32", "1", "class: index into `classes`; 0 is background"),
    "stratum": Branch("int32", "1", "of a background crossing: index into `strata`; -1: signal"),
    "weight": Branch("float64", "crossings", "background: crossings represented; signals: 1"),
    "collisions": Branch("int32", "1", "collisions overlaid"),
    "pthat": Branch("float32", "GeV", "largest pT of a 2 -> 2 scattering in the crossing"),
    "objects": Branch("int16", "scales", "[19][3]: pT, eta, phi of MET, 4 e/gamma, 4 mu, 10 jets"),
    "regions": Branch("uint16", "scales", "[18][14]: ET of 4 x 4 towers by phi and eta, |eta| < 3"),
    "ht": Branch("float32", "GeV", "sum of jets with pT > 30 GeV, |eta| < 2.5"),
    "et": Branch("float32", "GeV", "sum of towers with |eta| < 3"),
    "saturated": Branch("int32", "1", "inputs and regions that lay past their hardware range"),
}


def describe(classes: tuple[str, ...], numbers: dict[str, object]) -> str:
    """JSON: classes, strata, branches, the scale of every input, and `numbers` of this sample."""
    scales = {
        name: {"lsb": s.lsb, "unit": s.unit, "low": s.low, "high": s.high, "bits": s.bits}
        for name, s in SCALES.items()
    }
    return json.dumps(
        {
            "classes": classes,
            "strata": [process.name for process in STRATA],
            "branches": {name: asdict(branch) for name, branch in BRANCHES.items()},
            "inputs": INPUTS,
            "scales": {name: scales[name] for name in (*INPUTS, REGION)},
        }
        | numbers,
        indent=1,
    )
