"""The same random jets as a small file in the layout of every format.

Tests hold the readers to each other with them; `fuzz_events` damages them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import uproot
from numpy.typing import NDArray

from triggerforge.data.features import HIGH_LEVEL


@dataclass(frozen=True)
class Jets:
    """n jets of massless constituents; flat columns of the constituents."""

    counts: NDArray[np.int64]
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]
    pdgid: NDArray[np.int64]
    label: NDArray[np.int64]
    """0 or 1"""
    features: NDArray[np.float64]
    """(n, 16)"""

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def momenta(self) -> dict[str, NDArray[np.float64]]:
        return {
            "px": self.pt * np.cos(self.phi),
            "py": self.pt * np.sin(self.phi),
            "pz": self.pt * np.sinh(self.eta),
            "energy": self.pt * np.cosh(self.eta),
        }

    def padded(self, column: NDArray[Any], slots: int) -> NDArray[np.float64]:
        """(n, slots), zero where there is no constituent."""
        table = np.zeros((len(self), slots))
        table[np.arange(slots) < self.counts[:, None]] = column
        return table

    def summed(self) -> dict[str, NDArray[np.float64]]:
        """Jet kinematics from the sum of the constituents, by a loop."""
        sums = {
            n: np.array([part.sum() for part in np.split(v, np.cumsum(self.counts)[:-1])])
            for n, v in self.momenta.items()
        }
        pt = np.hypot(sums["px"], sums["py"])
        p2 = pt**2 + sums["pz"] ** 2
        return {
            "pt": pt,
            "eta": np.arcsinh(sums["pz"] / pt),
            "phi": np.arctan2(sums["py"], sums["px"]),
            "mass": np.sqrt(np.maximum(sums["energy"] ** 2 - p2, 0)),
            "energy": sums["energy"],
        }


def make_jets(n: int = 60, seed: int = 0, most: int = 20) -> Jets:
    """Jets of 1 to `most` constituents about random axes; pT falls within a jet."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most + 1, n)
    jet = np.repeat(np.arange(n), counts)
    pt = rng.exponential(20, counts.sum()) + 1
    order = np.lexsort((-pt, jet))
    axis_eta, axis_phi = rng.uniform(-1.5, 1.5, n), rng.uniform(-np.pi, np.pi, n)
    phi = axis_phi[jet] + rng.normal(0, 0.2, len(jet))
    return Jets(
        counts=counts,
        pt=pt[order],
        eta=axis_eta[jet] + rng.normal(0, 0.2, len(jet)),
        phi=np.mod(phi + np.pi, 2 * np.pi) - np.pi,
        pdgid=rng.choice([211, -211, 22, 130, 11, -13], len(jet)),
        label=np.arange(n) % 2,
        features=rng.normal(size=(n, 16)),
    )


def write_toptag(path: Path, jets: Jets, **options: Any) -> Path:
    """`DataFrame.to_hdf(key="table", format="table")` of 806 columns, as the set was made."""
    columns = {
        f"{c}_{i}": jets.padded(jets.momenta[q], 200)[:, i]
        for i in range(200)
        for c, q in (("E", "energy"), ("PX", "px"), ("PY", "py"), ("PZ", "pz"))
    }
    columns |= {f"truth{c}": np.zeros(len(jets)) for c in ("E", "PX", "PY", "PZ")}
    frame = pd.DataFrame({n: v.astype(np.float32) for n, v in columns.items()})
    frame = frame.assign(ttv=0, is_signal_new=jets.label)
    frame.to_hdf(path, key="table", format="table", **options)
    return path


def write_lhco(path: Path, jets: Jets) -> Path:
    """`DataFrame.to_hdf(key="df")` of 2101 columns in the fixed layout."""
    table = np.zeros((len(jets), 2101))
    for k, column in enumerate((jets.pt, jets.eta, jets.phi)):
        table[:, k:2100:3] = jets.padded(column, 700)
    table[:, 2100] = jets.label
    pd.DataFrame(table).to_hdf(path, key="df", mode="w")
    return path


PARTICLE_NAMES = [
    *("px", "py", "pz", "e", "erel", "pt", "ptrel", "eta", "etarel", "etarot", "phi", "phirel"),
    *("phirot", "deltaR", "costheta", "costhetarel"),
]
_SUBSTRUCTURE = [
    *("zlogz", "c1_b0", "c1_b1", "c1_b2", "c2_b1", "c2_b2", "d2_b1", "d2_b2", "d2_a1_b1"),
    *("d2_a1_b2", "m2_b1", "m2_b2", "n2_b1", "n2_b2"),
]
_TAU = ["tau1_b1", "tau2_b1", "tau3_b1", "tau1_b2", "tau2_b2", "tau3_b2", "tau32_b1", "tau32_b2"]
JET_NAMES = [
    *("j_ptfrac", "j_pt", "j_eta", "j_mass"),
    *(f"j_{n}" for n in [*_TAU, *_SUBSTRUCTURE]),
    *(f"j_{n}_mmdt" for n in [*_TAU, *_SUBSTRUCTURE[1:]]),
    *("j_mass_trim", "j_mass_mmdt", "j_mass_prun", "j_mass_sdb2", "j_mass_sdm1"),
    *("j_multiplicity", "j_g", "j_q", "j_w", "j_z", "j_t", "j_undef"),
]


def write_lhcjets(path: Path, jets: Jets) -> Path:
    """150 particles of 16 columns, jets of 59; label 0 is g, 1 is q."""
    axis = jets.summed()
    jet = np.repeat(np.arange(len(jets)), jets.counts)
    columns = {n: np.zeros(len(jets.pt)) for n in PARTICLE_NAMES}
    momenta = jets.momenta
    columns |= {"px": momenta["px"], "py": momenta["py"], "pz": momenta["pz"]}
    columns |= {"e": momenta["energy"], "pt": jets.pt, "eta": jets.eta, "phi": jets.phi}
    columns["ptrel"] = jets.pt / axis["pt"][jet]
    columns["etarel"] = jets.eta - axis["eta"][jet]
    columns["phirel"] = np.mod(jets.phi - axis["phi"][jet] + np.pi, 2 * np.pi) - np.pi
    table = np.zeros((len(jets), 59))
    for name in ("pt", "eta", "mass"):
        table[:, JET_NAMES.index(f"j_{name}")] = axis[name]
    for i, name in enumerate(HIGH_LEVEL):
        table[:, JET_NAMES.index(name)] = jets.features[:, i]
    table[np.arange(len(jets)), JET_NAMES.index("j_g") + jets.label] = 1
    with h5py.File(path, "w") as file:
        file["jetConstituentList"] = np.stack(
            [jets.padded(columns[n], 150) for n in PARTICLE_NAMES], axis=2
        )
        file["jets"] = table
        # as published: one name more than there are columns
        file["particleFeatureNames"] = [f"j1_{n}".encode() for n in [*PARTICLE_NAMES, "pdgid"]]
        file["jetFeatureNames"] = [n.encode() for n in JET_NAMES]
        file["jetImage"] = np.zeros((len(jets), 10, 10))
    return path


def write_arff(path: Path, jets: Jets) -> Path:
    """As OpenML serves data set 42468."""
    names = [n.removeprefix("j_") for n in HIGH_LEVEL]
    lines = ["% a comment", "@RELATION hls4ml_lhc_jets_hlf", ""]
    lines += [f"@ATTRIBUTE {names[0]}\tREAL", *(f"@ATTRIBUTE {n} REAL" for n in names[1:])]
    lines += ["@ATTRIBUTE class {g, q, t, w, z}", "", "@DATA"]
    rows = zip(jets.features, jets.label, strict=True)
    lines += [",".join(map(repr, row.tolist())) + "," + "gq"[y] for row, y in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_parquet(path: Path, jets: Jets) -> Path:
    columns = {n.removeprefix("j_"): jets.features[:, i] for i, n in enumerate(HIGH_LEVEL)}
    classes = pa.array(np.array(["g", "q"])[jets.label]).dictionary_encode()
    pq.write_table(pa.table(columns | {"class": classes}), path)
    return path


def write_energyflow(path: Path, jets: Jets) -> Path:
    """Under a name as the published files have; it tells what the labels mean."""
    path = path.with_name("QG_jets_toy.npz")
    columns = (jets.pt, jets.eta, jets.phi, jets.pdgid)
    table = np.stack([jets.padded(c, 30) for c in columns], axis=2)
    np.savez(path, X=table, y=jets.label.astype(float))
    return path


def write_quadruple(path: Path, jets: Jets) -> Path:
    """Four files; what lies behind a jet's constituents repeats its first ones."""
    path = path.with_name("toy_pf_vectors.npy")
    momenta = [jets.padded(v, 30) for v in jets.momenta.values()]
    mask = np.arange(30) < jets.counts[:, None]
    vectors = np.stack([np.where(mask, v, v[:, :1]) for v in momenta], axis=1)
    np.save(path, vectors.astype(np.float64))
    np.save(path.with_name("toy_pf_mask.npy"), mask[:, None].astype(np.float32))
    np.save(path.with_name("toy_labels.npy"), jets.label)
    return path


def _tree(path: Path, name: str, columns: dict[str, Any], extra: dict[str, Any]) -> Path:
    with uproot.recreate(path) as file:
        for key, value in extra.items():
            file[key] = value
        types = {
            n: v.type.content if isinstance(v, ak.Array) else v.dtype for n, v in columns.items()
        }
        file.mktree(name, types).extend(columns)
    return path


def _jagged(jets: Jets, columns: dict[str, NDArray[Any]]) -> ak.Array:
    return ak.unflatten(ak.zip(columns), jets.counts)


def _kinds(jets: Jets) -> dict[str, NDArray[Any]]:
    code = np.abs(jets.pdgid)
    return {
        "isChargedHadron": code == 211,
        "isNeutralHadron": code == 130,
        "isPhoton": code == 22,
        "isElectron": code == 11,
        "isMuon": code == 13,
    }


def _charge(jets: Jets) -> NDArray[np.int32]:
    lepton = np.isin(np.abs(jets.pdgid), (11, 13))
    hadron = np.abs(jets.pdgid) == 211
    return np.asarray(np.sign(jets.pdgid) * (hadron * 1 - lepton * 1), np.int32)


def write_generator(path: Path, jets: Jets) -> Path:
    part: dict[str, NDArray[Any]] = {"pt": jets.pt, "eta": jets.eta, "phi": jets.phi}
    part |= jets.momenta
    part["charge"] = _charge(jets)
    part["class"] = np.argmax(list(_kinds(jets).values()), axis=0).astype(np.int32)
    axis = jets.summed()
    jet = np.repeat(np.arange(len(jets)), jets.counts)
    part["deta"] = jets.eta - axis["eta"][jet]
    part["dphi"] = np.mod(jets.phi - axis["phi"][jet] + np.pi, 2 * np.pi) - np.pi
    columns = {f"jet_{n}": v for n, v in axis.items()}
    columns |= {n: jets.features[:, i] for i, n in enumerate(HIGH_LEVEL)}
    columns |= {"label": jets.label.astype(np.int32), "part": _jagged(jets, part)}
    columns["event"] = (np.arange(len(jets)) // 2).astype(np.int64)
    docs = json.dumps({"classes": ["light", "top"], "branches": {}})
    return _tree(path, "jets", columns, {"branches": docs})


def write_jetclass(path: Path, jets: Jets) -> Path:
    part: dict[str, NDArray[Any]] = {f"part_{n}": v for n, v in jets.momenta.items()}
    axis = jets.summed()
    jet = np.repeat(np.arange(len(jets)), jets.counts)
    part["part_deta"] = jets.eta - axis["eta"][jet]
    part["part_dphi"] = np.mod(jets.phi - axis["phi"][jet] + np.pi, 2 * np.pi) - np.pi
    part["part_charge"] = _charge(jets)
    part |= {f"part_{n}": v for n, v in _kinds(jets).items()}
    columns: dict[str, Any] = {n: ak.unflatten(v, jets.counts) for n, v in part.items()}
    columns |= {f"jet_{n}": v for n, v in axis.items() if n != "mass"}
    for i, name in enumerate(
        ["QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl"]
    ):
        columns[f"label_{name}"] = jets.label == i
    return _tree(path, "tree", columns, {})


def write_pfnano(path: Path, jets: Jets) -> Path:
    """Two jets an entry; candidates in random order, some of no jet, links in random order."""
    rng = np.random.default_rng(5)
    per_entry = np.full(len(jets) // 2, 2)
    axis = jets.summed()
    kinematics = {n: axis[n] for n in ("pt", "eta", "phi", "mass")}
    fat = ak.unflatten(ak.zip(kinematics | {"truth": jets.label}), per_entry)
    starts = np.cumsum(jets.counts) - jets.counts
    candidates, links = [], []
    for entry in range(len(per_entry)):
        own = np.concatenate(
            [np.arange(starts[j], starts[j] + jets.counts[j]) for j in (2 * entry, 2 * entry + 1)]
        )
        parent = np.repeat([0, 1], jets.counts[[2 * entry, 2 * entry + 1]])
        place = rng.permutation(len(own) + 2)[: len(own)]  # two candidates stay without a jet
        rows = np.full(len(own) + 2, own[0])
        rows[place] = own
        candidates.append(rows)
        order = rng.permutation(len(own))
        links.append((parent[order], place[order]))
    rows = np.concatenate(candidates)
    listed = {n: getattr(jets, n)[rows] for n in ("pt", "eta", "phi")}
    listed |= {
        "mass": np.zeros(len(rows)),
        "charge": _charge(jets)[rows],
        "pdgId": jets.pdgid[rows],
    }
    pf = ak.unflatten(ak.zip(listed), [len(c) for c in candidates])
    table = ak.zip(
        {
            "jetIdx": ak.unflatten(
                np.concatenate([a for a, _ in links]), [len(a) for a, _ in links]
            ),
            "pFCandsIdx": ak.unflatten(
                np.concatenate([b for _, b in links]), [len(b) for _, b in links]
            ),
        }
    )
    columns = {"FatJet": fat, "PFCands": pf, "FatJetPFCands": table}
    columns["MET_pt"] = np.arange(len(per_entry), dtype=np.float32)
    return _tree(path, "Events", columns, {})


def write_lists(path: Path, jets: Jets) -> Path:
    """A parquet table with lists part_pt, part_eta, part_phi; see LISTS_SETTINGS."""
    columns = {"pt": jets.pt, "eta": jets.eta, "phi": jets.phi}
    offsets = pa.array(np.concatenate([[0], np.cumsum(jets.counts)]).astype(np.int32))
    table = {
        f"part_{n}": pa.ListArray.from_arrays(offsets, pa.array(v)) for n, v in columns.items()
    }
    pq.write_table(pa.table(table | {"truth": pa.array(jets.label)}), path, row_group_size=13)
    return path


LISTS_SETTINGS: dict[str, Any] = {
    "mapping": {"constituents": {n: f"part_{n}" for n in ("pt", "eta", "phi")}},
    "label": {"a": "truth == 0", "b": "truth == 1"},
}
"""How a table of `write_lists` is read."""

WRITERS: dict[str, tuple[str, Callable[..., Path]]] = {
    "toptag": ("h5", write_toptag),
    "lhco": ("h5", write_lhco),
    "lhcjets": ("h5", write_lhcjets),
    "arff": ("arff", write_arff),
    "parquet": ("parquet", write_parquet),
    "lists": ("parquet", write_lists),
    "energyflow": ("npz", write_energyflow),
    "quadruple": ("npy", write_quadruple),
    "generator": ("root", write_generator),
    "jetclass": ("root", write_jetclass),
    "pfnano": ("root", write_pfnano),
}
