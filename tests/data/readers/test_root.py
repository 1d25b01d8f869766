"""ROOT files as people of this field have them: folders, RNTuples, NanoAOD's ages, Delphes, ntuples.

Every file is written in the layout of its kind, from the same random jets, and what is read is held to
those jets.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.load import load
from triggerforge.data.readers.opening import open_reader
from triggerforge.data.readers.trees import layout_of, pieces
from triggerforge.data.source import Count, EventSource
from triggerforge.errors import DataError

CLASSES = {"a": "truth == 0", "b": "truth == 1"}
Write = Callable[..., Path]


def read(path: Path, **settings: Any) -> tuple[EventSource, Any]:
    """The source, and its only batch."""
    source = EventSource(path, DataConfig.model_validate(settings))
    (batch,) = source.batches(Count())
    return source, batch


def collisions(jets: Any) -> ak.Array:
    """Jets in pairs, and every third collision without one."""
    axis = jets.summed()
    columns = {n: axis[n] for n in ("pt", "eta", "phi", "mass")} | {"truth": jets.label}
    counts = np.zeros(3 * len(jets) // 4, int)
    counts[[i for i in range(len(counts)) if i % 3]] = 2
    return ak.unflatten(ak.zip(columns), counts)


def save(
    path: Path, tree: str, columns: dict[str, Any], table: str = "ttree", **options: Any
) -> Path:
    with uproot.recreate(path) as file:
        if table == "rntuple":
            file.mkrntuple(tree, ak.zip(columns, depth_limit=1).layout.form).extend(
                ak.zip(columns, depth_limit=1)
            )
        else:
            types = {
                n: v.type.content if isinstance(v, ak.Array) else np.dtype((v.dtype, v.shape[1:]))
                for n, v in columns.items()
            }
            file.mktree(tree, types, **options).extend(columns)
    return path


def flat(events: ak.Array, collection: str, separator: str = "_") -> dict[str, Any]:
    return {f"{collection}{separator}{n}": events[n] for n in events.fields}


@pytest.mark.parametrize("table", ["ttree", "rntuple"])
@pytest.mark.parametrize("tree", ["Jets", "jetntuple/Jets", "a/b/Jets"])
def test_a_tree_in_a_folder(tree: str, table: str, tmp_path: Path, jets: Any) -> None:
    """As TFileService writes them; C1 and C2."""
    axis = jets.summed()
    path = save(tmp_path / "x.root", tree, {"pt": axis["pt"], "truth": jets.label}, table)
    for named in (None, tree, "Jets"):
        mapping = {} if named is None else {"tree": named}
        source, batch = read(path, mapping=mapping, inputs={"names": ["pt"]}, label=CLASSES)
        np.testing.assert_allclose(batch.inputs.raw[:, 0], axis["pt"], rtol=1e-6)
        np.testing.assert_array_equal(batch.label, jets.label)
        assert source.reader.tree == tree  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=rf"no tree 'Jet' .*entries: {tree} \(60\)"):
        open_reader(path, DataConfig.model_validate({"mapping": {"tree": "Jet"}}))


@pytest.mark.parametrize("table", ["ttree", "rntuple"])
@pytest.mark.parametrize("separator", ["_", ".", ":"])
def test_elements_of_a_collection_in_a_tree_and_an_rntuple(
    table: str, separator: str, tmp_path: Path, jets: Any
) -> None:
    events = collisions(jets)
    record = table == "rntuple" and separator == "."
    columns = {"Jet": events} if record else flat(events, "Jet", separator)
    columns |= {"run": np.arange(len(events))}
    path = save(tmp_path / "x.root", "Events", columns, table)
    mapping = {"objects": "Jet"}
    _, batch = read(path, mapping=mapping, inputs={"names": ["pt", "run"]}, label=CLASSES)
    counts = ak.to_numpy(ak.num(events))
    np.testing.assert_allclose(batch.inputs.raw[:, 0], jets.summed()["pt"], rtol=1e-6)
    np.testing.assert_array_equal(batch.inputs.raw[:, 1], np.repeat(np.arange(len(counts)), counts))
    mass = np.nan_to_num(batch.observables["jet_mass"])
    np.testing.assert_allclose(mass, jets.summed()["mass"], rtol=1e-6)


def test_nested_records_of_an_rntuple(tmp_path: Path, jets: Any) -> None:
    """Jets with their constituents as lists within, a record at the top, text beside."""
    axis = jets.summed()
    inner = ak.unflatten(ak.zip({"pt": jets.pt, "eta": jets.eta, "phi": jets.phi}), jets.counts)
    jet = ak.zip({n: axis[n] for n in ("pt", "eta")} | {"truth": jets.label})
    jet = ak.with_field(jet, inner, "cand")
    events = ak.unflatten(jet, np.full(30, 2))
    columns = {
        "Jet": events,
        "met": ak.zip({"pt": np.arange(30.0), "phi": np.zeros(30)}),
        "name": ak.Array([f"n{i}" for i in range(30)]),
    }
    path = save(tmp_path / "x.root", "Events", columns, "rntuple")
    names = {"pt": "cand.pt", "eta": "cand.eta", "phi": "cand.phi"}
    mapping = {"objects": "Jet", "constituents": names, "columns": {"met": "met.pt"}}
    inputs = {"kind": "constituents", "constituents": 20, "names": ["pt", "eta"]}
    _, batch = read(path, mapping=mapping, inputs=inputs, label=CLASSES, observables=["met"])
    np.testing.assert_allclose(batch.inputs.raw[batch.inputs.mask][:, 0], jets.pt, rtol=1e-6)
    np.testing.assert_array_equal(batch.inputs.mask.sum(axis=1), jets.counts)
    np.testing.assert_array_equal(batch.observables["met"], np.repeat(np.arange(30), 2))
    columns = {"n": "count(cand.pt)", "share": "max(cand.pt) / pt", "jets": "count(Jet.pt)"}
    few = {"objects": "Jet", "columns": columns}
    _, batch = read(path, mapping=few, inputs={"names": list(columns)}, label=CLASSES)
    np.testing.assert_array_equal(batch.inputs.raw[:, 0], jets.counts)
    leading = [part[0] for part in np.split(jets.pt, np.cumsum(jets.counts)[:-1])]
    np.testing.assert_allclose(batch.inputs.raw[:, 1], leading / axis["pt"], rtol=1e-6)
    assert (batch.inputs.raw[:, 2] == 2).all()
    bad: dict[str, tuple[dict[str, Any], str]] = {
        "cand.pt": (few, "'x' has a list for each of 'Jet'; a single number is due"),
        "sum(Jet.cand.pt)": ({}, "'Jet.cand.pt' holds lists of lists; make the elements"),
    }
    for text, (changes, message) in bad.items():
        with pytest.raises(DataError, match=message):
            own = {**changes, "columns": {"x": text}}
            label = CLASSES if changes else {"a": "met.pt > 3", "b": "met.pt <= 3"}
            read(path, format="root", mapping=own, inputs={"names": ["x"]}, label=label)
    with pytest.raises(DataError, match="branch 'name' holds text"):
        read(path, mapping={"columns": {"x": "name"}}, inputs={"names": ["x"]}, label=CLASSES)


@pytest.mark.parametrize(
    ("candidates", "index"),
    [("PFCands", "pFCandsIdx"), ("PFCand", "pfCandIdx"), ("PFCand", "PFCandIdx")],
)
@pytest.mark.parametrize("objects", ["FatJet", "Jet"])
def test_candidates_of_pfnano_and_of_nanoaod_v15(
    candidates: str, index: str, objects: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """C3: FatJetPFCand_pfCandIdx and PFCand_* beside PFNano's spelling."""
    with uproot.open(written("pfnano", jets)) as file:
        old = file["Events"].arrays()
    new = {"FatJet": objects, "FatJetPFCands": objects + candidates, "PFCands": candidates}
    columns = {}
    for name in old.fields:
        collection, _, short = name.partition("_")
        if collection in new and short:
            short = index if short == "pFCandsIdx" else short
            columns[f"{new[collection]}_{short}"] = old[name]
    path = save(tmp_path / "v15.root", "Events", columns)
    inputs = {"kind": "constituents", "constituents": 20, "names": ["pt", "charge"]}
    mapping = {} if objects == "FatJet" else {"objects": objects}
    source, batch = read(path, inputs=inputs, label=CLASSES, mapping=mapping)
    assert source.reader.format == "pfnano"
    np.testing.assert_allclose(batch.inputs.raw[batch.inputs.mask][:, 0], jets.pt, rtol=1e-6)
    np.testing.assert_array_equal(batch.inputs.mask.sum(axis=1), jets.counts)


def test_pfnano_without_its_index_table_has_jets(tmp_path: Path, jets: Any) -> None:
    columns = flat(collisions(jets), "Jet")
    columns["PFCands_pt"] = columns["Jet_pt"]
    path = save(tmp_path / "skim.root", "Events", columns)
    settings = {"mapping": {"objects": "Jet"}, "label": CLASSES}
    _, batch = read(path, inputs={"names": ["pt"]}, **settings)
    np.testing.assert_allclose(batch.inputs.raw[:, 0], jets.summed()["pt"], rtol=1e-6)
    with pytest.raises(DataError, match="no quantity of a constituent 'd"):
        read(path, inputs={"kind": "constituents"}, **settings)


@pytest.mark.parametrize("absent", ["part_charge", "part_energy", "part_isMuon", "label_Tbl"])
def test_jetclass_with_absent_branches(
    absent: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """C3: only what is asked for is needed."""
    with uproot.open(written("jetclass", jets)) as file:
        tree = file["tree"].arrays()
    columns = {n: tree[n] for n in tree.fields if n != absent and not n.startswith("npart")}
    path = save(tmp_path / "part.root", "tree", columns)
    inputs = {"kind": "constituents", "constituents": 20}
    source, batch = read(path, inputs=inputs, classes=["QCD", "Hbb"])
    assert source.reader.format == "jetclass"
    np.testing.assert_array_equal(batch.inputs.mask.sum(axis=1), jets.counts)
    np.testing.assert_array_equal(batch.label, jets.label)
    if absent == "part_charge":
        with pytest.raises(DataError, match="no quantity of a constituent 'charge'"):
            read(path, inputs=inputs | {"names": ["charge"]}, classes=["QCD", "Hbb"])


@pytest.mark.parametrize("table", ["ttree", "rntuple"])
def test_a_preset_offers_what_the_collection_has(table: str, tmp_path: Path, jets: Any) -> None:
    """NanoAOD's L1Jet has no mass: a preset's name without its branch is in nobody's way."""
    events = collisions(jets)
    columns = {f"{c}_{n}": events[n] for c in ("Jet", "L1Jet") for n in ("pt", "eta", "phi")}
    path = save(tmp_path / "nano.root", "Events", columns, table)
    label = {"a": "pt > 100", "b": "pt <= 100"}
    source, batch = read(path, mapping={"objects": "L1Jet"}, inputs={"names": ["pt"]}, label=label)
    assert source.reader.format == "nanoaod" and set(batch.observables) == {"jet_pt", "jet_eta"}
    with pytest.raises(DataError, match="no quantity of an event 'jet_mass'"):
        read(path, inputs={"names": ["jet_mass"]}, label=label)


def test_delphes_names_and_counters(tmp_path: Path, jets: Any) -> None:
    """Jet.PT with Jet_size, as a Delphes tree has them."""
    events = collisions(jets)
    names = {"pt": "PT", "eta": "Eta", "phi": "Phi", "mass": "Mass", "truth": "Flavor"}
    columns = {f"Jet.{new}": events[old] for old, new in names.items()}
    path = save(
        tmp_path / "d.root", "Delphes", columns, counter_name=lambda n: n.split(".")[0] + "_size"
    )
    mapping = {"objects": "Jet", "columns": {"pt": "PT", "eta": "Eta"}}
    label = {"a": "Flavor == 0", "b": "Flavor == 1"}
    _, batch = read(path, mapping=mapping, inputs={"names": ["log_pt", "pz", "Mass"]}, label=label)
    axis = jets.summed()
    expected = [np.log(axis["pt"]), axis["pt"] * np.sinh(axis["eta"]), axis["mass"]]
    np.testing.assert_allclose(batch.inputs.raw, np.stack(expected, axis=1), rtol=1e-5)


def test_what_a_split_object_holds_beside_numbers_is_left_alone(tmp_path: Path, jets: Any) -> None:
    """Text beside an object's numbers, as Delphes' TRefArray: the file is read, the error names it."""
    events = collisions(jets)
    columns = flat(events, "Jet", ".") | {"Jet.tag": ak.Array(["x"] * len(events))}
    path = save(tmp_path / "d.root", "Delphes", columns)
    mapping = {"objects": "Jet"}
    _, batch = read(path, mapping=mapping, inputs={"names": ["pt"]}, label=CLASSES)
    np.testing.assert_allclose(batch.inputs.raw[:, 0], jets.summed()["pt"], rtol=1e-6)
    with pytest.raises(DataError, match="'tag'; the file has it, but it holds text"):
        read(path, mapping=mapping, inputs={"names": ["tag"]}, label=CLASSES)


def test_four_vectors_from_momenta(tmp_path: Path, jets: Any) -> None:
    """C4: no eta branch; edm4hep's momentum.x, ATLAS' px, or any other name by one mapping."""
    axis = jets.summed()
    parts = {
        "x": axis["pt"] * np.cos(axis["phi"]),
        "y": axis["pt"] * np.sin(axis["phi"]),
        "z": axis["pt"] * np.sinh(axis["eta"]),
    }
    columns = {f"Jets.momentum.{n}": ak.unflatten(v, 2) for n, v in parts.items()}
    columns |= {"Jets.energy": ak.unflatten(axis["energy"], 2)}
    columns |= {"Jets.truth": ak.unflatten(jets.label, 2)}
    columns = {n: ak.from_regular(v, axis=1) for n, v in columns.items()}
    path = save(tmp_path / "edm.root", "events", columns)
    mapping = {"objects": "Jets", "columns": {f"p{n}": f"momentum.{n}" for n in "xyz"}}
    names = ["pt", "eta", "phi", "mass"]
    _, batch = read(path, mapping=mapping, inputs={"names": names}, label=CLASSES)
    expected = np.stack([axis[n] for n in names], axis=1)
    np.testing.assert_allclose(batch.inputs.raw, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(DataError, match="no quantity of an event 'eta'"):
        few = {"objects": "Jets", "columns": {"px": "momentum.x", "py": "momentum.y"}}
        read(path, mapping=few, inputs={"names": ["eta"]}, label=CLASSES)


def test_arrays_of_a_fixed_length_are_lists(tmp_path: Path, jets: Any) -> None:
    table = jets.padded(jets.pt, 20)
    columns = {"part_pt": table, "part_eta": jets.padded(jets.eta, 20), "truth": jets.label}
    path = save(tmp_path / "fixed.root", "t", columns)
    mapping = {"columns": {"total": "sum(part_pt)"}, "constituents": {"pt": "part_pt"}}
    inputs = {"kind": "constituents", "constituents": 20, "names": ["pt"]}
    _, batch = read(path, mapping=mapping, inputs=inputs, label=CLASSES, observables=["total"])
    np.testing.assert_allclose(batch.inputs.raw[:, :, 0], -np.sort(-table, axis=1), rtol=1e-6)
    np.testing.assert_allclose(batch.observables["total"], table.sum(axis=1), rtol=1e-5)


def test_a_prefix_shared_by_another_collection(tmp_path: Path) -> None:
    """Jet_cand_pt begins like Jet_pt, but has lists of its own."""
    jet, candidate = ak.Array([[1.0, 2.0], [3.0]]), ak.Array([[1.0, 2.0, 3.0], [4.0]])
    columns = {"Jet_pt": jet, "Jet_a": ak.Array([[5.0, 6.0], [7.0]]), "Jet_aa_pt": candidate}
    path = save(
        tmp_path / "x.root",
        "t",
        columns,
        counter_name=lambda n: "nCand" if "aa" in n else "nJet",
    )
    layout = layout_of(path)
    assert layout.sizer("Jet") == "Jet_pt"
    label = {"a": "a < 6", "b": "a >= 6"}
    _, batch = read(path, mapping={"objects": "Jet"}, inputs={"names": ["a"]}, label=label)
    np.testing.assert_array_equal(batch.inputs.raw[:, 0], [5, 6, 7])
    with pytest.raises(DataError, match="'aa_pt' has other list lengths than 'Jet'"):
        read(path, mapping={"objects": "Jet"}, inputs={"names": ["aa_pt"]}, label=label)


def test_several_trees_are_listed_with_their_entries(tmp_path: Path) -> None:
    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        file.mktree("one", {"x": "f4"}).extend({"x": np.zeros(3)})
        file.mktree("d/two", {"x": "f4"}).extend({"x": np.zeros(5)})
        file.mktree("e/two", {"x": "f4"}).extend({"x": np.zeros(7)})
    settings: dict[str, Any] = {"inputs": {"names": ["x"]}}
    listed = r"one \(3\), d/two \(5\), e/two \(7\)"
    with pytest.raises(DataError, match=rf"holds 3 trees; set data.mapping.tree; .*{listed}"):
        open_reader(path, DataConfig.model_validate(settings))
    with pytest.raises(DataError, match=r"2 trees 'two'.*with its folder.*d/two \(5\)"):
        open_reader(path, DataConfig.model_validate(settings | {"mapping": {"tree": "two"}}))
    empty = tmp_path / "h.root"
    with uproot.recreate(empty) as file:
        file["histogram"] = np.histogram(np.arange(5))
    with pytest.raises(DataError, match=r"no TTree and no RNTuple, but histogram \(TH1D\)"):
        open_reader(empty, DataConfig.model_validate(settings))


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_chunks_without_one_jet(chunk: int, tmp_path: Path, jets: Any) -> None:
    """B10: entries without jets at the beginning, in a row, and at the end of the file."""
    events = ak.concatenate([[[]] * 4, collisions(jets), [[]] * 5])
    path = save(tmp_path / "x.root", "Events", flat(events, "Jet"))
    settings = {"label": CLASSES, "chunk": chunk, "split": (0.5, 0.2, 0.3)}
    splits = load(
        DataConfig.model_validate({"source": [str(path)], "inputs": {"names": ["pt"]}} | settings),
        None,
        1,
        tmp_path,
    )
    assert len(splits.train) + len(splits.validation) + len(splits.test) == len(jets)


def test_an_empty_list_in_every_entry_of_a_chunk_of_candidates(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    with uproot.open(written("pfnano", jets)) as file:
        old = file["Events"].arrays()
    names = [n for n in old.fields if "_" in n and n != "MET_pt"]
    none = {n: ak.concatenate([old[n][:3][:, :0], old[n], old[n][:2][:, :0]]) for n in names}
    path = save(tmp_path / "pf.root", "Events", none)
    inputs = {"kind": "constituents", "constituents": 20, "names": ["pt"]}
    config = DataConfig.model_validate({"inputs": inputs, "label": CLASSES, "chunk": 1})
    batches = list(EventSource(path, config).batches(Count()))
    found = np.concatenate([b.inputs.raw[b.inputs.mask][:, 0] for b in batches])
    np.testing.assert_allclose(found, jets.pt, rtol=1e-6)


def _damaged(path: Path, where: Callable[[Any], tuple[int, bytes]]) -> None:
    with uproot.open(path) as file:
        at, content = where(file)
    raw = bytearray(path.read_bytes())
    raw[at : at + len(content)] = content
    path.write_bytes(raw)


def _basket(file: Any) -> int:
    """Where the key of the first basket of `pt` lies."""
    return int(file["t"]["pt"].member("fBasketSeek")[0])


DAMAGES: dict[str, Callable[[Any], tuple[int, bytes]]] = {
    "a basket that is not there": lambda f: (_basket(f), b"\xff" * 40),
    "an unknown compression": lambda f: (
        _basket(f) + int(f["t"]["pt"].basket_key(0).fKeylen),
        b"QQ",
    ),
    "a basket's bytes": lambda f: (
        _basket(f) + int(f["t"]["pt"].basket_key(0).fKeylen) + 12,
        b"\x00\xff" * 30,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line_with_file_and_branch(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "x.root"
    values = np.tile(np.arange(40.0), 100)
    with uproot.recreate(path) as file:
        tree = file.mktree("t", {"pt": "f8", "x": "f8"})
        tree.extend({"pt": values, "x": values})
    _damaged(path, DAMAGES[damage])
    layout = layout_of(path)
    (piece,) = pieces(layout, ["x"], 10_000)  # what is whole can be read
    np.testing.assert_array_equal(piece["x"], values)
    with pytest.raises(DataError, match=r"x\.root: branch 'pt' of tree 't'") as caught:
        list(pieces(layout, ["x", "pt"], 10_000))
    assert "\n" not in str(caught.value)


def test_a_damaged_page_of_an_rntuple_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "x.root"
    values = np.random.default_rng(1).integers(0, 5, 4000).astype(float)
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        file.mkrntuple("t", {"pt": "f8", "x": "f8"}).extend({"pt": values, "x": values})
    with uproot.open(path) as file:
        at = file["t"].page_link_list[0][0].pages[0].locator.offset
    raw = bytearray(path.read_bytes())
    raw[at + 15 : at + 60] = b"\xff" * 45
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"x\.root: branch 'pt' of tree 't'") as caught:
        list(pieces(layout_of(path), ["pt", "x"], 10_000))
    assert "\n" not in str(caught.value)


REAL: dict[str, tuple[str, dict[str, Any]]] = {
    "a NanoAOD's muons": (
        "cms_root_samples/nano_dimuon.root",
        {
            "mapping": {"objects": "Muon"},
            "inputs": {"names": ["pt", "eta", "pz"]},
            "label": {"a": "charge == 1", "b": "charge == -1"},
        },
    ),
    "vectors of treemaker": (
        "cms_root_samples/treemaker.root",
        {
            "mapping": {
                "objects": "Jets",
                "columns": {
                    "pt": "fCoordinates.fPt",
                    "eta": "fCoordinates.fEta",
                    "phi": "fCoordinates.fPhi",
                    "energy": "fCoordinates.fE",
                },
            },
            "inputs": {"names": ["pt", "eta", "mass", "axisminor"]},
            "label": {"a": "partonFlavor == 21", "b": "partonFlavor != 21"},
        },
    ),
    "edm4hep, 2023": (
        "cms_root_samples/test_FCC_Winter2023.root",
        {
            "mapping": {
                "objects": "Jet",
                "columns": {"px": "momentum.x", "py": "momentum.y", "pz": "momentum.z"},
            },
            "inputs": {"names": ["pt", "eta", "mass"]},
            "label": {"a": "charge > 0", "b": "charge < 0"},
        },
    ),
    "ATLAS' truth without eta": (
        "cms_root_samples/PHYSLITE_example.root",
        {
            "mapping": {"objects": "TruthElectronsAuxDyn", "columns": {"energy": "e"}},
            "inputs": {"names": ["log_pt", "eta", "mass"]},
            "label": {"a": "classifierParticleType == 2", "b": "classifierParticleType != 2"},
        },
    ),
    "capital letters": (
        "skhep_root/uproot-HZZ.root",
        {
            "mapping": {
                "objects": "Jet",
                "columns": {"px": "Px", "py": "Py", "pz": "Pz", "energy": "E"},
            },
            "inputs": {"names": ["pt", "eta", "mass"]},
            "label": {"a": "btag > 0", "b": "btag <= 0"},
        },
    ),
    "secondary vertices by their own index table": (
        "cms_root_samples/pfnano.root",
        {
            "mapping": {
                "objects": "FatJet",
                "candidates": "SV",
                "links": "FatJetSVs",
                "constituents": {"pt": "pt", "eta": "eta", "phi": "phi"},
            },
            "inputs": {"kind": "constituents", "constituents": 4, "names": ["pt", "delta_r"]},
            "label": {"a": "pt > 1200", "b": "pt <= 1200"},
        },
    ),
}


@pytest.mark.parametrize("case", REAL)
def test_real_files_of_other_experiments(case: str, shared: Callable[[str], Path]) -> None:
    """C4 and others; energies are above momenta, jets are not massless, vertices lie in their jets."""
    name, settings = REAL[case]
    source, batch = read(shared(name), **settings)
    assert source.reader.format in ("root", "nanoaod", "pfnano")
    raw, names = batch.inputs.raw, list(source.builder.names)
    assert np.isfinite(raw).all() and len(np.unique(batch.label)) == 2
    if "eta" in names:
        assert np.abs(raw[:, names.index("eta")]).max() < 10  # the beam has 9.5
    if "mass" in names:
        assert (raw[:, names.index("mass")] >= 0).all()
    if "pz" in names:
        pt, eta, pz = (raw[:, names.index(n)] for n in ("pt", "eta", "pz"))
        np.testing.assert_allclose(pz, pt * np.sinh(eta), rtol=1e-5)
    if "delta_r" in names:
        assert batch.inputs.mask.any() and raw[:, :, names.index("delta_r")].max() < 1.2


def test_a_cluster_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets count too; a TTree is read by entries, an RNTuple by clusters."""
    lists = ak.Array([[1.0, 2.0]] * 1000)
    monkeypatch.setattr("triggerforge.data.readers.trees.MAX_CHUNK_BYTES", 20_000)
    for table, refused in (("ttree", False), ("rntuple", True)):
        layout = layout_of(save(tmp_path / f"{table}.root", "t", {"x_pt": lists}, table))
        if refused:
            with pytest.raises(
                DataError, match=r"a cluster of 't' says that it holds 2.4e\+04 bytes"
            ):
                layout.check_size(["x_pt"], 10)
        else:
            layout.check_size(["x_pt"], 10)
