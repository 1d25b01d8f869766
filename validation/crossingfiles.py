"""The same random Level-1 objects as a small file in the layout of every format that has them."""

from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import uproot
from numpy.typing import NDArray

from triggerforge.data.generator.l1.schema import BRANCHES, TREE, describe
from triggerforge.data.generator.schema import BRANCH_DOCS
from triggerforge.data.l1.encode import encode
from triggerforge.data.l1.layout import KINDS, OBJECTS, SLOTS

EVENTS = 40
CLASS = np.array([i for i, kind in enumerate(KINDS, start=1) for _ in range(kind.slots)])
COLLECTIONS = {"met": "L1EtSum", "eg": "L1EG", "mu": "L1Mu", "jet": "L1Jet"}
Table = NDArray[np.float64]
"""(EVENTS, 19, 3): pT, eta, phi of every object, zero where there is none"""


def physical(seed: int = 0) -> Table:
    """(EVENTS, 19, 3) sorted objects on the grid of the scales, so that any file type holds them."""
    rng = np.random.default_rng(seed)
    table = np.zeros((EVENTS, OBJECTS, 3))
    for kind in KINDS:
        rows = SLOTS[kind.name]
        shape = (EVENTS, kind.slots)
        there = (
            np.arange(kind.slots)
            < rng.integers(kind.name == "met", kind.slots + 1, EVENTS)[:, None]
        )
        pt = -np.sort(-rng.integers(1, 200, shape), axis=1) * 0.5
        eta, phi = (s.lsb * rng.integers(-50, 50, shape) for s in kind.scales[1:])
        eta = np.zeros(shape) if kind.name == "met" else eta
        table[:, rows] = np.stack([pt, eta, phi], axis=-1) * there[..., None]
    return table


def write_adc2021(path: Path, table: Table, **options: Any) -> Path:
    """Particles (N, 19, 4), as the set's public description has it."""
    particle_class = np.where(table[..., :1] != 0, CLASS[:, None], 0.0)
    whole = np.concatenate([table, options.get("classes", particle_class)], axis=2)
    with h5py.File(path, "w") as file:
        file["Particles"] = whole.astype(np.float32)
        file["Particles_Classes"] = [b"MET", b"electron", b"muon", b"jet"]
        file["Particles_Names"] = [b"Pt", b"Eta", b"Phi", b"Class"]
    return path


def write_l1nano(path: Path, table: Table, sums: int = 1, leave_out: str = "") -> Path:
    """Tree Events; each collection has an object of crossing -1 in front, which does not count."""
    branches: dict[str, Any] = {}
    for kind in KINDS:
        rows = table[:, SLOTS[kind.name]]
        kept = rows[..., 0] != 0
        first = np.array([[[99.0, 0.5, 0.5]]] * EVENTS)
        lists = ak.concatenate(
            [ak.from_regular(first), ak.unflatten(rows[kept], kept.sum(axis=1))], axis=1
        )
        columns: dict[str, Any] = {n: lists[..., i] for i, n in enumerate(("pt", "eta", "phi"))}
        columns["bx"] = ak.values_astype(ak.local_index(columns["pt"], axis=1) > 0, np.int32) - 1
        if kind.name == "met":
            columns["etSumType"] = ak.full_like(columns["bx"], 2 if sums else 1)
            columns.pop("eta")
        branches[COLLECTIONS[kind.name]] = ak.zip(columns)
    flat = {f"{c}_{n}": values[n] for c, values in branches.items() for n in values.fields}
    flat.pop(leave_out, None)
    with uproot.recreate(path) as file:
        file.mktree("Events", {n: v.type.content for n, v in flat.items()})
        file["Events"].extend(flat)
    return path


def write_l1(path: Path, table: Table) -> Path:
    columns: dict[str, Any] = {
        n: np.zeros(EVENTS, b.type) for n, b in BRANCHES.items() if n not in ("objects", "regions")
    }
    columns["label"] = (np.arange(EVENTS) % 2).astype(np.int32)
    columns["weight"] = np.linspace(0.5, 2, EVENTS)
    columns["objects"] = encode(table, "test").objects
    columns["regions"] = np.arange(EVENTS * 252).reshape(EVENTS, 18, 14).astype(np.uint16) % 1024
    with uproot.recreate(path) as file:
        file[BRANCH_DOCS] = describe(("background", "SUEP"), {"pileup": 60.0})
        file.mktree(TREE, {n: np.dtype((v.dtype, v.shape[1:])) for n, v in columns.items()})
        file[TREE].extend(columns)
    return path


def write_regions(path: Path, table: Table) -> Path:
    """CaloRegions (EVENTS, 18, 14) as CICADA's set has them; jets' pT in the place of regions."""
    maps = np.zeros((EVENTS, 18, 14), np.uint16)
    maps[:, 0, :10] = table[:, SLOTS["jet"], 0]
    with h5py.File(path, "w") as file:
        file["CaloRegions"], file["AcceptanceFlag"] = maps, np.arange(EVENTS) % 2
    return path
