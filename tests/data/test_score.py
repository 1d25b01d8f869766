"""Scores appended to copies of the input: everything of it is still there, in its order."""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.load import load
from triggerforge.data.score import Scored, require_scorable, score_file
from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.validation.sandbox import limited

Write = Callable[..., Path]
NANO = "skhep_root/nanoAOD_2015_CMS_Open_Data_ttbar.root"
FLAVOUR = {"gluon": "partonFlavour == 21", "quark": "(partonFlavour != 21) & (partonFlavour != 0)"}


def network(x: np.ndarray) -> np.ndarray:
    """Two outputs that tell events apart."""
    assert x.dtype == np.float32
    flat = x.reshape(len(x), -1)
    return np.stack([flat.sum(axis=1), flat[:, 0]], axis=1)


def prepared(path: Path, folder: Path, **settings: Any) -> tuple[DataConfig, InputContract]:
    config = DataConfig.model_validate({"source": [str(path)], "split": (0.5, 0.2, 0.3)} | settings)
    return config, load(config, None, 1, folder).contract


def score(
    config: DataConfig, contract: InputContract, path: Path, out: Path, chunk: int = 7
) -> Scored:
    return score_file(network, config.model_copy(update={"chunk": chunk}), contract, path, out)


@pytest.mark.parametrize("ending", ["root", "parquet"])
@pytest.mark.parametrize("layout", ["generator", "toptag", "lhcjets", "energyflow", "lhco"])
def test_scores_of_every_entry_in_order(
    layout: str, ending: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """The scores do not depend on the chunk, nor on the selection of the training."""
    path = written(layout, jets)
    classes = {"lhcjets": ["g", "q"]}.get(layout, [])
    inputs = {"kind": "constituents", "constituents": 4}
    config, contract = prepared(
        path, tmp_path, inputs=inputs, classes=classes, selection="jet_pt > 50"
    )
    columns = []
    for chunk in (7, 1000):
        out = tmp_path / f"out{chunk}.{ending}"
        done = score(config, contract, path, out, chunk)
        assert (done.entries, done.events, done.not_scored) == (60, 60, 0)
        columns.append(read(out, "jets" if layout == "generator" else "events"))
    names = [n for n in columns[0] if n.startswith("tf_score_")]
    assert len(names) == 2
    for name, values in columns[0].items():
        assert ak.array_equal(values, columns[1][name], equal_nan=True), name
    rank = np.argsort(np.argsort(np.asarray(columns[0][names[1]]), kind="stable"))
    share = [
        part.max() / axis
        for part, axis in zip(
            np.split(jets.pt, np.cumsum(jets.counts)[:-1]), jets.summed()["pt"], strict=True
        )
    ]
    assert np.corrcoef(rank, np.argsort(np.argsort(share)))[0, 1] > 0.95
    assert "npart" in columns[0] and (np.asarray(columns[0]["npart"]) == jets.counts).all()


def _without_toptag(path: Path) -> None:
    table = pd.read_hdf(path, "table").drop(columns="is_signal_new")
    table.to_hdf(path, key="table", format="table", mode="w")


def _without_lhco(path: Path) -> None:
    table = pd.read_hdf(path, "df")
    table.drop(columns=table.columns[-1]).to_hdf(path, key="df", mode="w")


def _without_lhcjets(path: Path) -> None:
    with h5py.File(path, "a") as file:
        names, jets = file["jetFeatureNames"][:], file["jets"][:]
        del file["jetFeatureNames"], file["jets"]
        flags = 6  # j_g to j_undef
        file["jetFeatureNames"], file["jets"] = names[:-flags], jets[:, :-flags]


def _without_parquet(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns("class"), path)


UNLABELLED = {
    "toptag": _without_toptag,
    "lhco": _without_lhco,
    "lhcjets": _without_lhcjets,
    "parquet": _without_parquet,
}


@pytest.mark.parametrize("layout", UNLABELLED)
def test_a_file_without_labels_is_scored_but_not_learned_from(
    layout: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written(layout, jets)
    classes = ["g", "q"] if layout in ("lhcjets", "parquet") else []
    inputs: dict[str, Any] = {"kind": "constituents", "constituents": 4}
    if layout == "parquet":
        inputs = {"names": ["j_zlogz"]}
    config, contract = prepared(path, tmp_path, inputs=inputs, classes=classes)
    expected = score(config, contract, path, tmp_path / "labelled.parquet")
    UNLABELLED[layout](path)
    done = score(config, contract, path, tmp_path / "out.parquet")
    assert done == replace(expected, file=done.file)
    tables = [ak.from_parquet(tmp_path / f"{n}.parquet") for n in ("labelled", "out")]
    names = [n for n in tables[0].fields if n.startswith("tf_score_")]
    assert len(names) == 2
    for name in names:
        assert ak.array_equal(tables[0][name], tables[1][name]), name
    with pytest.raises(DataError, match="has no"):
        load(config, None, 1, tmp_path)


def read(path: Path, tree: str) -> dict[str, Any]:
    if path.suffix == ".parquet":
        table = ak.from_parquet(path)
        return {n: table[n] for n in table.fields}
    with uproot.open(path) as file:
        arrays = file[tree].arrays()
        return {n: arrays[n] for n in arrays.fields}


def test_a_nanoaod_file_keeps_all_its_branches(
    tmp_path: Path, shared: Callable[[str], Path]
) -> None:
    path = shared(NANO)
    inputs = {"names": ["log(pt)", "eta", "mass / pt"]}
    config, contract = prepared(path, tmp_path, inputs=inputs, label=FLAVOUR)
    out = tmp_path / "scored.root"
    done = score(config, contract, path, out, chunk=150)
    assert (done.entries, done.events, done.left_out) == (200, 537, [])
    with uproot.open(path) as before, uproot.open(out) as after:
        old, new = before["Events"], after["Events"]
        added = {"Jet_tf_score_gluon", "Jet_tf_score_quark"}
        assert set(new.keys()) == set(old.keys()) | added
        names = list(old.keys())  # a tree iterates over branches, not names
        for name in [n for n in names if n.startswith(("Jet_", "nJet", "run", "HLT_IsoMu"))]:
            one, two = old[name].array(), new[name].array()
            assert ak.array_equal(
                ak.values_astype(one, "f8"), ak.values_astype(two, "f8"), equal_nan=True
            ), name
        raw = ak.to_numpy(ak.flatten(new["Jet_pt"].array()))
        x = contract.features[0].format.quantize(
            (np.log(raw.astype("f8")) - contract.features[0].offset)
            * 2.0 ** -contract.features[0].shift
        )
        scores = ak.to_numpy(ak.flatten(new["Jet_tf_score_quark"].array()))
        np.testing.assert_allclose(scores, x, atol=contract.features[0].format.lsb)
    parquet = tmp_path / "scored.parquet"
    score(config, contract, path, parquet, chunk=150)
    file = pq.ParquetFile(parquet)
    assert file.metadata.num_rows == 200 and file.metadata.num_row_groups == 2
    names = set(file.schema_arrow.names)
    file.close()
    assert added | {"Jet_pt", "run"} <= names


@pytest.mark.parametrize("objects", ["FatJet", "Jet"])
def test_pfnano_constituents_of_real_jets(
    objects: str, tmp_path: Path, shared: Callable[[str], Path]
) -> None:
    """The linked candidates add up to the jet: same axis, and nearly the pT."""
    path = shared("cms_root_samples/pfnano.root")
    inputs = {
        "kind": "constituents",
        "constituents": 200,
        "names": ["pt_rel", "deta", "dphi", "valid"],
    }
    label = (
        {"hard": "pt > 100", "soft": "pt <= 100"}
        if objects == "Jet"
        else {"hard": "pt > 1250", "soft": "pt <= 1250"}
    )
    config = DataConfig.model_validate(
        {"inputs": inputs, "label": label, "mapping": {"objects": objects}}
    )
    from triggerforge.data.source import Count, EventSource

    (batch,) = EventSource(path, config).batches(Count())
    assert len(batch.label) == {"FatJet": 24, "Jet": 64}[objects]
    share, deta, dphi = (batch.inputs.raw[:, :, i] for i in range(3))
    hard = batch.label == 0
    assert np.abs((share * deta).sum(axis=1))[hard].max() < 0.05
    assert np.abs((share * dphi).sum(axis=1))[hard].max() < 0.05
    assert (np.hypot(deta, dphi).max(axis=1) < {"FatJet": 1.2, "Jet": 0.7}[objects])[hard].all()


def test_real_quark_and_gluon_jets(tmp_path: Path, shared: Callable[[str], Path]) -> None:
    path = shared("quarkgluon_sample/qg_pf_vectors.npy")
    inputs = {"kind": "constituents", "constituents": 128}
    config, _ = prepared(path, tmp_path, inputs=inputs, classes=["gluon", "quark"])
    splits = load(config, None, 1, tmp_path)
    multiplicity = splits.train.mask.sum(axis=1)
    means = [multiplicity[splits.train.y == i].mean() for i in range(2)]
    assert splits.classes == ("gluon", "quark")
    assert means == pytest.approx([53.4, 33.8], abs=2.5)
    pt = splits.train.observables["jet_pt"]
    assert pt.min() > 495 and pt.max() < 555


def test_other_trees_and_objects_beside(
    tmp_path: Path, jets: Any, written: Write, capsys: Any
) -> None:
    path = written("generator", jets)
    with uproot.update(path) as file:
        file.mktree("Runs", {"weight": "float64"}).extend({"weight": np.arange(3.0)})
        file.mktree("empty", {"x": "float64"})
        file["histogram"] = np.histogram(np.arange(5))
    config, contract = prepared(path, tmp_path)
    done = score(config, contract, path, tmp_path / "out.root")
    assert sorted(done.left_out) == ["branches", "empty", "histogram"]
    assert "does not hold" in capsys.readouterr().err
    with uproot.open(tmp_path / "out.root") as file:
        np.testing.assert_array_equal(file["Runs/weight"].array(), np.arange(3.0))


def test_events_with_nan_inputs_get_nan(
    tmp_path: Path, jets: Any, written: Write, capsys: Any
) -> None:
    config, contract = prepared(written("generator", jets), tmp_path)
    jets.features[5, 3] = np.nan
    path = written("generator", jets)
    done = score(config, contract, path, tmp_path / "out.root")
    assert done.not_scored == 1 and "1 of 60 events have NaN" in capsys.readouterr().err
    with uproot.open(tmp_path / "out.root") as file:
        scores = file["jets/tf_score_top"].array(library="np")
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(scores)), [5])


def test_unlabelled_data_is_scored(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    config, contract = prepared(path, tmp_path)
    with uproot.open(path) as file:
        names = list(file["jets"].keys())
        columns = file["jets"].arrays([n for n in names if n != "label"])
        docs = file["branches"]
    bare = tmp_path / "bare.root"
    with uproot.recreate(bare) as file:
        file["branches"] = str(docs)
        plain = {n: columns[n] for n in columns.fields if not n.startswith(("part", "npart"))}
        plain["part_class"] = columns["part_class"]
        for name in ("pt", "eta", "phi", "energy", "px", "py", "pz", "charge", "deta", "dphi"):
            plain[f"part_{name}"] = columns[f"part_{name}"]
        types = {n: v.type.content for n, v in plain.items()}
        file.mktree("jets", types).extend(plain)
    assert score(config, contract, bare, tmp_path / "out.root").events == 60


def test_a_file_without_labels_takes_the_classes_of_its_run(tmp_path: Path) -> None:
    """A plain tree has no label of its own; the network's classes name the scores."""
    bare = tmp_path / "plain.root"
    with uproot.recreate(bare) as file:
        file.mktree("t", {"a": "f8", "b": "f8"}).extend({"a": np.arange(5.0), "b": np.ones(5)})
    config = DataConfig.model_validate({"format": "root", "inputs": {"names": ["a", "b"]}})
    fmt = FixedFormat.parse("ap_fixed<8,4,RND,SAT>")
    contract = InputContract(tuple(InputFeature(n, "", 0.0, 0, fmt) for n in "ab"), (2,))
    with pytest.raises(DataError, match=r"set data\.label"):
        score_file(network, config, contract, bare, tmp_path / "out.root")
    done = score_file(network, config, contract, bare, tmp_path / "out.root", ("s", "bkg"))
    assert done.events == 5
    with uproot.open(tmp_path / "out.root") as file:
        scores = file["t/tf_score_bkg"].array(library="np")
    np.testing.assert_array_equal(scores, np.arange(5.0))


def test_bad_requests(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    config, contract = prepared(path, tmp_path)
    with pytest.raises(DataError, match="is the input itself"):
        score(config, contract, path, path)
    with pytest.raises(DataError, match="ending '.csv'"):
        score(config, contract, path, tmp_path / "out.csv")
    other = config.model_copy(
        update={"inputs": config.inputs.model_copy(update={"names": ("jet_pt",)})}
    )
    with pytest.raises(DataError, match="the network was made for"):
        score(other, contract, path, tmp_path / "out.root")
    with pytest.raises(DataError, match="one class for each output"):
        score_file(lambda x: x[:, :3], config, contract, path, tmp_path / "out.root")
    assert not (tmp_path / "out.root").exists() and not list(tmp_path.glob(".out*"))


def test_scores_of_the_same_classes_are_not_replaced(
    tmp_path: Path, jets: Any, written: Write, capsys: Any
) -> None:
    path = written("generator", jets)
    config, contract = prepared(path, tmp_path)
    for ending in ("root", "parquet"):
        first = tmp_path / f"first.{ending}"
        score(config, contract, path, first)
        content = first.read_bytes()
        again = config.model_copy(update={"format": ending})
        with pytest.raises(DataError, match=r"has the scores tf_score_light, tf_score_top already"):
            score_file(
                network, again, contract, first, tmp_path / f"second.{ending}", ("light", "top")
            )
        assert not (tmp_path / f"second.{ending}").exists() and first.read_bytes() == content
        other = score_file(
            network, again, contract, first, tmp_path / f"other.{ending}", ("bkg", "signal")
        )
        names = read(Path(other.file), "jets").keys()
        assert names >= {f"tf_score_{n}" for n in ("light", "top", "bkg", "signal")}
    capsys.readouterr()
    score(config, contract, path, tmp_path / "first.root")
    assert "first.root is there already; it is replaced" in capsys.readouterr().err


def test_scores_of_a_collection_are_not_replaced(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("pfnano", jets)
    inputs = {"names": ["pt", "eta"]}
    label = {"a": "truth == 0", "b": "truth == 1"}
    config, contract = prepared(path, tmp_path, inputs=inputs, label=label)
    first = tmp_path / "first.root"
    score(config, contract, path, first)
    with pytest.raises(DataError, match="has the scores tf_score_a, tf_score_b already"):
        score(config, contract, first, tmp_path / "second.root")


def _bad_outputs(folder: Path, source: Path) -> dict[str, tuple[Path, str]]:
    (folder / "folder.root").mkdir()
    (folder / "link.root").hardlink_to(source)
    (folder / "soft.root").symlink_to(source)
    return {
        "ending": (folder / "out.csv", "ending '.csv'"),
        "no folder": (folder / "none" / "out.root", "no folder .*none; make it"),
        "a folder": (folder / "folder.root", "is a folder"),
        "hard link": (folder / "link.root", "is the input itself"),
        "soft link": (folder / "soft.root", "is the input itself"),
        "no rights": (Path("/proc/out.root"), r"cannot write /proc/out\.root"),
    }


@pytest.mark.parametrize(
    "case", ["ending", "no folder", "a folder", "hard link", "soft link", "no rights"]
)
def test_an_output_that_cannot_be(case: str, tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    out, message = _bad_outputs(tmp_path, path)[case]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match=message):
        require_scorable(DataConfig(), path, out)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda p: p.unlink(), {}, "no file"),
        (lambda p: p.write_bytes(p.read_bytes()[:2000]), {}, r"generator\.root"),
        (lambda p: p.write_bytes(b""), {}, "is empty"),
        (lambda p: None, {"inputs": {"names": ["j_masss"]}}, "did you mean"),
        (lambda p: None, {"format": "lhco"}, "cannot be read as LHC Olympics"),
    ],
)
def test_an_input_that_cannot_be_scored(
    change: Callable[[Path], Any],
    settings: dict[str, Any],
    message: str,
    tmp_path: Path,
    jets: Any,
    written: Write,
) -> None:
    path = written("generator", jets)
    change(path)
    with pytest.raises(DataError, match=message):
        require_scorable(DataConfig.model_validate(settings), path, tmp_path / "out.root")


@pytest.mark.parametrize(
    "name", ["e:1.root", "e[1]*.root", "a::b.root", "file:x.root", "a::b.parquet"]
)
def test_names_that_libraries_take_for_something_else(
    name: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """uproot opens what stands before "::", which is another file where there is one."""
    path = written("generator", jets)
    config, contract = prepared(path, tmp_path)
    (tmp_path / "out").mkdir()
    for other in ("a", "e1.root", "x.root"):
        (tmp_path / "out" / other).write_text("another file")
    score(config, contract, path, tmp_path / "out" / name)
    there = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.name != name}
    assert there == dict.fromkeys(("a", "e1.root", "x.root"), b"another file")
    source = path.rename(tmp_path / "out" / Path(name).with_suffix(".root"))
    if "::" in name:
        with pytest.raises(DataError, match="'::' in its path cannot be opened; rename it"):
            load(config.model_copy(update={"source": (str(source),)}), None, 1, tmp_path)
    else:
        assert load(config.model_copy(update={"source": (str(source),)}), None, 1, tmp_path)


@pytest.mark.parametrize("ending", ["root", "parquet"])
def test_a_disk_that_takes_no_more_leaves_nothing(
    ending: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """The kernel refuses to let a file grow past 8 kB, in a process of its own."""
    path = written("generator", jets)
    config, contract = prepared(path, tmp_path)
    out = tmp_path / f"out.{ending}"

    def task() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        return str(score(config, contract, path, out))

    outcome = limited(task, tmp_path)
    assert outcome.kind == "refused" and "make room and run again" in outcome.text, outcome
    assert f"cannot write {out}: " in outcome.text and "oo large" in outcome.text
    assert not list(tmp_path.glob("*out.*"))


def collisions(counts: list[int], beside: list[int] | None = None) -> dict[str, Any]:
    """Entries with so many jets, and a branch nJet that counts `beside`: other jets than these."""
    pt = np.linspace(20, 90, sum(counts))
    columns = {"pt": pt, "eta": np.sin(pt), "phi": np.cos(pt), "mass": pt / 10}
    lists = {f"Jet_{n}": ak.unflatten(v, counts) for n, v in columns.items()}
    return lists | {"nJet": np.array(beside or counts), "run": np.arange(len(counts))}


def write_events(path: Path, columns: dict[str, Any], table: str = "ttree") -> Path:
    with uproot.recreate(path) as file:
        if table == "rntuple":
            records = ak.zip(columns, depth_limit=1)
            file.mkrntuple("dir/Events", records.layout.form).extend(records)
        else:
            types = {
                n: v.type.content if isinstance(v, ak.Array) else v.dtype
                for n, v in columns.items()
            }
            tree = file.mktree("dir/Events", types, counter_name=lambda name: f"size_{name}")
            tree.extend(columns)
    return path


JETS = {
    "inputs": {"names": ["pt", "eta"]},
    "label": {"a": "eta > 0", "b": "eta <= 0"},
    "mapping": {"objects": "Jet"},
    "format": "root",
}


@pytest.mark.parametrize("table", ["ttree", "rntuple"])
@pytest.mark.parametrize("chunk", [1, 3, 4])
def test_chunks_without_one_jet_and_lengths_that_agree_by_chance(
    chunk: int, table: str, tmp_path: Path
) -> None:
    """B10: nothing about a column is decided from one chunk; the tree lies in a folder."""
    counts = [0, 0, 0, 2, 2, 5, 0, 7, 1, 4, 0, 0, 9, 0]
    beside = [0, 0, 0, 2, 3, 5, 1, 7, 1, 4, 2, 0, 9, 4]  # agrees with the jets in the first chunks
    path = write_events(tmp_path / "x.root", collisions(counts, beside), table)
    config, contract = prepared(path, tmp_path, **JETS)
    out, whole = tmp_path / "out.root", tmp_path / "whole.root"
    done = score(config, contract, path, out, chunk)
    assert (done.entries, done.events, done.not_scored) == (14, 30, 0)
    score(config, contract, path, whole, 100)
    one, other, old = (read(p, "dir/Events") for p in (out, whole, path))
    for name, values in old.items():
        assert ak.array_equal(one[name], values), name
    for name in ("Jet_tf_score_a", "Jet_tf_score_b"):
        assert ak.array_equal(one[name], other[name]), name
        assert ak.num(one[name]).tolist() == counts
    with uproot.open(out) as file:
        assert file.classnames()["dir/Events;1"] == {"ttree": "TTree"}.get(table, "ROOT::RNTuple")


def test_lists_keep_the_counters_that_the_file_gives_them(tmp_path: Path) -> None:
    """nJet counts Jet_pt and the scores; Muon_pt, of the same lengths by chance, has its own."""
    columns = collisions([1, 2, 3, 0, 4] * 4)
    del columns["nJet"]
    columns["Muon_pt"] = columns["Jet_pt"]
    path = tmp_path / "x.root"
    with uproot.recreate(path) as file:
        types = {
            n: v.type.content if isinstance(v, ak.Array) else v.dtype for n, v in columns.items()
        }
        tree = file.mktree("Events", types, counter_name=lambda name: "n" + name.split("_")[0])
        tree.extend(columns)
    config, contract = prepared(path, tmp_path, **JETS)
    score(config, contract, path, tmp_path / "out.root")
    with uproot.open(tmp_path / "out.root") as file:
        counters = {b.name: b.count_branch for b in file["Events"].branches}
    names = {n: c.name for n, c in counters.items() if c is not None}
    jets = {n for n in names if n.startswith("Jet_")}
    assert names == {n: "nJet" for n in jets} | {"Muon_pt": "nMuon"}
    assert {"Jet_tf_score_a", "Jet_tf_score_b"} < jets
    assert set(counters) - set(names) == {"nJet", "nMuon", "run"}


def test_nested_records_and_text_of_an_rntuple_are_copied(tmp_path: Path) -> None:
    jets = ak.Array(
        [[{"pt": 30.0 + i, "eta": 0.1 * i - 2, "c": [i, i + 1]}] * (i % 3) for i in range(40)]
    )
    text = ak.Array([f"event {i}" for i in range(40)])
    columns = {"Jet": jets, "name": text, "met": ak.zip({"pt": np.arange(40.0)})}
    path = write_events(tmp_path / "x.root", columns, "rntuple")
    config, contract = prepared(path, tmp_path, **JETS)
    done = score(config, contract, path, tmp_path / "out.root")
    assert done.left_out == []
    copied = read(tmp_path / "out.root", "dir/Events")
    for name, values in columns.items():
        assert ak.array_equal(copied[name], values), name
    assert ak.num(copied["Jet_tf_score_a"]).tolist() == ak.num(jets).tolist()
