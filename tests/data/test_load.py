"""The stage `data` end to end, and what it says about files that cannot be used."""

import json
import os
import resource
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.load import load
from triggerforge.data.splits import PARTS, load_splits, split_indices
from triggerforge.errors import ArtifactError, DataError
from triggerforge.result import RECORD_FILE
from triggerforge.validation.eventfiles import make_jets

Write = Callable[..., Path]


def config(path: Path, **settings: Any) -> DataConfig:
    return DataConfig.model_validate({"source": [str(path)], "split": (0.5, 0.2, 0.3)} | settings)


def test_splits_are_disjoint_and_reproduce(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    runs = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        runs.append(
            load(config(path, chunk=11 if name == "b" else 1000), None, seed, tmp_path / name)
        )
    one, same, other = runs
    for part in PARTS:
        np.testing.assert_array_equal(getattr(one, part).x, getattr(same, part).x)
    assert not np.array_equal(one.train.x, other.train.x)
    assert [len(getattr(one, p)) for p in PARTS] == [30, 12, 18]
    rows = np.concatenate([getattr(one, p).x for p in PARTS])
    assert len(np.unique(rows, axis=0)) == 60


def test_what_is_saved_is_what_was_loaded(tmp_path: Path, jets: Any, written: Write) -> None:
    inputs = {"kind": "constituents", "constituents": 5}
    made = load(
        config(written("toptag", jets), inputs=inputs, weights="jet_pt / 100"), None, 1, tmp_path
    )
    read = load_splits(tmp_path)
    assert read.contract == made.contract and read.classes == ("qcd", "top")
    for part in PARTS:
        one, two = getattr(made, part), getattr(read, part)
        for name in ("x", "y", "weight", "mask"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert one.observables.keys() == two.observables.keys() == {"jet_pt", "jet_eta", "jet_mass"}
        np.testing.assert_allclose(one.weight, one.observables["jet_pt"] / 100, rtol=1e-5)
        assert (one.x[~one.mask] == 0).all()
    assert {p.name for p in tmp_path.iterdir()} >= {"splits.h5", RECORD_FILE}
    assert not list(tmp_path.glob(".*"))


def test_missing_particles_are_what_an_inherited_model_was_trained_with(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    """Inputs (pt - 10) / 5: a particle without pT was -2 there."""
    name = "(pt - 10) / 5"
    precision = {"formats": {name: "ap_fixed<12,7,RND,SAT>"}, "padding": {name: -2.0}}
    inputs = {"kind": "constituents", "constituents": 30, "names": [name, "deta", "valid"]}
    source = written("generator", jets)
    splits = load(config(source, inputs=inputs, precision=precision), None, 1, tmp_path)
    assert [f.padding for f in splits.contract.features] == [-2, 0, 0]
    for part in (splits.train, splits.validation, splits.test, load_splits(tmp_path).test):
        assert part.mask is not None and not part.mask.all()
        assert (part.x[~part.mask] == [-2, 0, 0]).all()
        assert (part.quantized_x[~part.mask] == [-2, 0, 0]).all()
        assert (part.x[part.mask][:, 2] == 1).all()
    assert InputContract.from_dict(splits.contract.to_dict()) == splits.contract


def test_a_finished_models_padding_is_its_own(tmp_path: Path, jets: Any, written: Write) -> None:
    inputs = {"kind": "constituents", "constituents": 30, "names": ["log_pt", "valid"]}
    source = written("generator", jets)
    settings = {"inputs": inputs, "precision": {"padding": {"log_pt": -1.0}}}
    made = load(config(source, **settings), None, 1, tmp_path)
    padding = made.contract.features[0].padding
    again = load(config(source, inputs=inputs), None, 1, tmp_path, made.contract)
    assert again.test.mask is not None
    assert (again.test.x[~again.test.mask][:, 0] == np.float32(padding)).all()
    with pytest.raises(DataError, match="the model's own contract has -"):
        load(config(source, **settings), None, 1, tmp_path, made.contract)


def test_the_record(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    load(config(path, selection="jet_pt > 150", max_events=20), None, 1, tmp_path)
    record = json.loads((tmp_path / RECORD_FILE).read_text())["data"]
    passed = int((jets.summed()["pt"] > 150).sum())
    assert record["source"] == [str(path)] and record["format"] == "generator"
    assert record["classes"] == ["light", "top"]
    assert record["events"] == {"train": 9, "validation": 4, "test": 7}
    assert sum(sum(c.values()) for c in record["per_class"].values()) == 20
    assert (record["read"], record["selected"]) == (60, passed)
    assert record["selection_efficiency"] == pytest.approx(passed / 60)


def test_several_files_and_patterns(tmp_path: Path, jets: Any, written: Write) -> None:
    first = written("generator", jets)
    second = first.with_name("generator2.root")
    second.write_bytes(first.read_bytes())
    splits = load(config(first.with_name("gen*.root")), None, 1, tmp_path)
    assert sum(len(getattr(splits, p)) for p in PARTS) == 120


def test_the_generated_file_is_the_default(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    splits = load(DataConfig(split=(0.5, 0.2, 0.3)), path, 1, tmp_path)
    assert len(splits.train) == 30
    with pytest.raises(DataError, match="set data.source"):
        load(DataConfig(), None, 1, tmp_path)


def test_images_load(tmp_path: Path, jets: Any, written: Write) -> None:
    splits = load(config(written("energyflow", jets), inputs={"kind": "image"}), None, 1, tmp_path)
    assert splits.train.x.shape == (30, 40, 40, 1)
    assert splits.train.mask is None


@pytest.mark.parametrize("limit", [None, 40])
def test_split_indices_part_all_events(limit: int | None) -> None:
    parts = split_indices(np.arange(101)[:, None], (0.7, 0.1, 0.2), 5, limit)
    joined = np.concatenate(parts)
    assert len(joined) == len(np.unique(joined)) == (limit or 101)
    assert [len(part) for part in parts] == ([28, 4, 8] if limit else [71, 10, 20])


def test_a_file_shuffled_under_the_same_seed_is_mixed_in_every_part() -> None:
    label = np.repeat([0, 1], 500)[np.random.default_rng(5).permutation(1000)]
    for part in split_indices(np.arange(1000)[:, None], (0.5, 0.2, 0.3), 5):
        assert label[part].mean() == pytest.approx(0.5, abs=0.1)


def test_what_belongs_together_is_not_parted() -> None:
    collision = np.random.default_rng(1).integers(0, 700, 2000)
    files = np.arange(2000) // 1000  # the same number in another file is another collision
    together = np.stack([files, collision], axis=1)
    parts = split_indices(together, (0.7, 0.1, 0.2), 5)
    assert sorted(np.concatenate(parts).tolist()) == list(range(2000))
    seen = [set(map(tuple, together[part].tolist())) for part in parts]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert [len(part) for part in parts] == pytest.approx([1400, 200, 400], abs=5)


@pytest.mark.parametrize(("together", "pairs"), [(None, 30), ("jet_pt", 60)])
def test_jets_of_one_collision_stay_together(
    together: str | None, pairs: int, tmp_path: Path, jets: Any, written: Write
) -> None:
    """By the generator's `event`, which two jets share here, or by the column that is named."""
    settings = config(written("generator", jets), together=together, observables=["event"])
    splits = load(settings, None, 1, tmp_path)
    found = [set(getattr(splits, part).observables["event"].tolist()) for part in PARTS]
    assert len(set.union(*found)) == 30
    assert (sum(len(part) for part in found) == 30) == (pairs == 30)


@pytest.mark.parametrize(
    "name", ["generator", "toptag", "lhcjets", "lhco", "energyflow", "quadruple", "parquet", "arff"]
)
@pytest.mark.parametrize("keep", [0, 0.03, 0.5, 0.97])
def test_empty_and_truncated_files(
    name: str, keep: float, tmp_path: Path, jets: Any, written: Write
) -> None:
    """A cut file is one DataError that names it; the ARFF cut between rows has fewer rows."""
    path = written(name, jets)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    settings = config(
        path,
        format={"quadruple": "energyflow", "parquet": "lhcjets16", "arff": "lhcjets16"}.get(
            name, name
        ),
        inputs={"kind": "features"}
        if name in ("generator", "parquet", "arff", "lhcjets")
        else {"kind": "constituents"},
    )
    with pytest.raises(DataError, match=path.name):
        load(settings, None, 1, tmp_path)


@pytest.mark.parametrize(
    "name", ["generator", "toptag", "lhcjets", "lhcjets16", "energyflow", "lhco"]
)
def test_files_of_another_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are no events.\n" * 100)
    with pytest.raises(DataError, match=r"notes\.txt"):
        load(config(path, format=name), None, 1, tmp_path)
    with pytest.raises(DataError, match="neither ROOT nor HDF5 nor parquet"):
        load(config(path), None, 1, tmp_path)


def test_an_unknown_hdf5_layout(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["particles"] = np.zeros(3)
    with pytest.raises(DataError, match="particles; no known layout"):
        load(config(path), None, 1, tmp_path)
    with pytest.raises(DataError, match="no dataset 'jets'"):
        load(config(path, format="lhcjets"), None, 1, tmp_path)


def test_missing_files(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    with pytest.raises(DataError, match="did you mean 'generator.root'"):
        load(config(path.with_name("generatr.root")), None, 1, tmp_path)
    with pytest.raises(DataError, match="no file matches"):
        load(config(path.with_name("*.rootx")), None, 1, tmp_path)
    with pytest.raises(DataError, match="is not a file"):
        load(config(tmp_path), None, 1, tmp_path)


def test_a_file_named_twice(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    link = tmp_path / "link.root"
    link.symlink_to(path)
    for other in (path, path.with_name("generator.*"), link):
        with pytest.raises(DataError, match=r"names .*generator\.root twice, again as"):
            load(config(path, source=[str(path), str(other)]), None, 1, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inputs": {"names": ["j_multiplicty"]}}, "did you mean 'j_multiplicity'"),
        ({"inputs": {"kind": "constituents", "names": ["detta"]}}, "did you mean 'deta'"),
        ({"selection": "jet_ptt > 5"}, "did you mean 'jet_pt'"),
        ({"weights": "wheight"}, "no quantity of an event 'wheight'"),
        ({"observables": ["jet_ma"]}, "did you mean 'jet_mass'"),
        ({"mapping": {"tree": "jetz"}}, "did you mean 'jets'"),
        ({"mapping": {"columns": {"a": "j_mas_mmdt"}}}, "did you mean 'j_mass_mmdt'"),
        ({"mapping": {"objects": "Jet"}}, "no collection of branches 'Jet'"),
        ({"mapping": {"links": "A"}}, "links and candidates together"),
        ({"classes": ["light", "topp"]}, "did you mean 'top'"),
        ({"selection": "jet_pt > 1e9"}, "no event is left of 60"),
        ({"selection": "label == 0"}, "no event of class 'top'"),
        ({"selection": "jet_pt * 2"}, "not true or false"),
        ({"label": {"a": "jet_pt > 10", "b": "jet_pt > 20"}}, "of several classes"),
        ({"label": "label"}, "name its classes in data.classes"),
        ({"label": "label + 1", "classes": ["a", "b"]}, r"labels are not integers in 0\.\.1"),
        ({"inputs": {"names": ["log(j_zlogz)"]}}, "NaN or infinite, the first is 'log.j_zlogz.'"),
        ({"weights": "sqrt(-jet_pt)"}, "60 values .* the first is 'weight' of event 0"),
        ({"inputs": {"names": ["part_pt"]}}, "no quantity of an event 'part_pt'.*reduce it"),
        ({"mapping": {"columns": {"a": "part_pt"}}, "inputs": {"names": ["a"]}}, "single number"),
        ({"inputs": {"names": ["jet_pt +"]}}, "is no expression"),
        ({"max_events": 4, "seed": 1}, "Extra inputs"),
    ],
)
def test_bad_settings(
    settings: dict[str, Any], message: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written("generator", jets)
    with pytest.raises((DataError, ValueError), match=message):
        load(config(path, **settings), None, 1, tmp_path)


def test_a_part_without_a_class_is_named(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    with pytest.raises(DataError, match="part has no event of class"):
        load(config(path, max_events=4), None, 1, tmp_path)


def test_labels_out_of_range(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("energyflow", jets)
    with np.load(path) as content:
        x, y = content["X"], content["y"].copy()
    y[[7, 9]] = 5
    np.savez(path, X=x, y=y)
    with pytest.raises(
        DataError, match=r"2 labels are not integers in 0\.\.1, the first is 5 in event 7"
    ):
        load(config(path, inputs={"kind": "constituents"}), None, 1, tmp_path)


def test_an_unknown_class_name_in_arff(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("arff", jets)
    path.write_text(path.read_text().replace(",q\n", ",b\n", 1))
    with pytest.raises(DataError, match="1 labels are no class, the first is 'b' in entry 1"):
        load(config(path), None, 1, tmp_path)


def test_nan_in_a_later_chunk_is_counted_with_the_first_entry(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    jets.features[[41, 50], [3, 5]] = np.nan
    path = written("generator", jets)
    with pytest.raises(DataError, match="2 values .* 'j_c1_b2_mmdt' of event 41 in"):
        load(config(path, chunk=10), None, 1, tmp_path)


def test_claims_of_a_file_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "huge.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000, 4), }"
    header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", magic + header)
        archive.writestr("y.npy", magic + header)
    with pytest.raises(DataError, match="its header claims"):
        load(config(path), None, 1, tmp_path)
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        row = (1, 10**5, 16)
        lists = file.create_dataset(
            "jetConstituentList", (60, *row[1:]), "f8", chunks=row, compression="gzip"
        )
        packed = zlib.compress(bytes(lists.dtype.itemsize * 16 * 10**5))
        for event in range(60):
            lists.id.write_direct_chunk((event, 0, 0), packed)
        file["jets"] = np.zeros((60, 5))
        file["jetFeatureNames"] = [f"j_{c}".encode() for c in "gqwzt"]
        file["particleFeatureNames"] = [b"j1_e", *(f"j1_{i}".encode() for i in range(15))]
    inputs = {"kind": "constituents", "names": ["e"], "order": "file"}
    with pytest.raises(
        DataError, match=r"512 MiB allowed for a chunk; set data\.chunk to at most 41"
    ):
        load(config(path, inputs=inputs), None, 1, tmp_path)


def test_rows_of_an_archive_that_are_too_large_together(tmp_path: Path) -> None:
    """100 rows of 6.4 MB, 640 kB as a file: told before one is unpacked."""
    path = tmp_path / "QG_jets.npz"
    shape = (100, 200_000, 4)
    header = (
        str({"descr": "<f8", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("X.npy", "w", force_zip64=True) as member:
            member.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
            for _ in range(100):
                member.write(bytes(6_400_000))
        with archive.open("y.npy", "w") as member:
            np.lib.format.write_array(member, np.arange(100) % 2)
    settings = config(path, inputs={"kind": "constituents"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        DataError, match=r"512 MiB allowed for a chunk; set data\.chunk to at most 83"
    ):
        load(settings, None, 1, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(1000), "its header claims 2147483647 bytes"),
        (b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118, "cannot be read as EnergyFlow"),
        (b"no array", "cannot be read as EnergyFlow"),
        (b"", "cannot be read as EnergyFlow"),
    ],
)
def test_members_of_an_archive_that_are_no_arrays(
    member: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "QG_jets.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", member)
        archive.writestr("y.npy", member)
    with pytest.raises(DataError, match=rf"QG_jets\.npz.*{message}"):
        load(config(path), None, 1, tmp_path)


@pytest.mark.parametrize("shape", ["(-60, 3, -4)", "(60, 3, -4)", "(10**3,)", "('a',)"])
def test_shapes_that_are_none(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "QG_jets.npz"
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    header = text.encode().ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(60 * 12 * 8)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", content)
        archive.writestr("y.npy", content)
    with pytest.raises(DataError, match=r"QG_jets\.npz"):
        load(config(path), None, 1, tmp_path)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, X=np.array([{}], dtype=object), y=np.zeros(1))
    with pytest.raises(DataError, match="C-ordered array of numbers"):
        load(config(path), None, 1, tmp_path)


def test_code_in_a_pandas_attribute_does_not_run(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("toptag", jets)
    mark = tmp_path / "ran"
    with h5py.File(path, "a") as file:
        attributes = file["table/table"].attrs
        attributes["values_block_0_kind"] = np.bytes_(f"cos\nsystem\n(S'touch {mark}'\ntR.")
    with pytest.raises(DataError, match=r"asks for os\.system"):
        load(config(path, inputs={"kind": "constituents"}), None, 1, tmp_path)
    assert not mark.exists()


def test_columns_missing_in_a_pandas_table(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    pd.DataFrame({"E_0": [1.0], "PX_0": [1.0]}).to_hdf(path, key="table", format="table")
    with pytest.raises(DataError, match="no column 'PY_0'"):
        load(config(path), None, 1, tmp_path)


def test_no_entries(tmp_path: Path) -> None:
    path = tmp_path / "none.root"
    with uproot.recreate(path) as file:
        file.mktree("jets", {"pt": "float32"})
    with pytest.raises(DataError, match="has no entries"):
        load(config(path, format="root"), None, 1, tmp_path)


@pytest.mark.parametrize(
    "layout", ["lhcjets", "arff", "parquet", "lists", "energyflow", "quadruple"]
)
def test_files_without_a_row(layout: str, tmp_path: Path, written: Write) -> None:
    with np.errstate(all="ignore"):
        path = written(layout, make_jets(0))
    inputs = {"kind": "constituents"} if layout in ("energyflow", "quadruple") else {}
    with pytest.raises(DataError, match=rf"{path.name} has no (entries|data rows)"):
        load(config(path, inputs=inputs, classes=["a", "b"] if inputs else []), None, 1, tmp_path)


def test_links_behind_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pf.root"
    columns = {
        "FatJet": ak.zip({n: ak.Array([[1.0]]) for n in ("pt", "eta", "phi", "mass")}),
        "PFCands": ak.zip(
            {n: ak.Array([[1.0]]) for n in ("pt", "eta", "phi", "mass", "charge", "pdgId")}
        ),
        "FatJetPFCands": ak.zip({n: ak.Array([[1]]) for n in ("jetIdx", "pFCandsIdx")}),
    }
    with uproot.recreate(path) as file:
        file.mktree("Events", {n: v.type.content for n, v in columns.items()}).extend(columns)
    settings = config(path, inputs={"kind": "constituents"}, label={"a": "pt > 0", "b": "pt < 0"})
    with pytest.raises(DataError, match="1 links of 'FatJetPFCands' point behind the end"):
        load(settings, None, 1, tmp_path)


@pytest.mark.parametrize("damage", ["missing", "cut", "version", "contract"])
def test_damaged_splits(damage: str, tmp_path: Path, jets: Any, written: Write) -> None:
    load(config(written("generator", jets)), None, 1, tmp_path)
    path = tmp_path / "splits.h5"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    else:
        with h5py.File(path, "a") as file:
            file.attrs[damage] = 99 if damage == "version" else "{}"
    with pytest.raises(ArtifactError, match=r"splits\.h5"):
        load_splits(tmp_path)


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, jets: Any, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written("generator", jets)
    folder = tmp_path / "stage"
    folder.mkdir()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"splits\.h5: No space left on device; make room"):
        load(config(path), None, 1, folder)
    assert not list(folder.iterdir())


def test_what_a_killed_run_left_does_no_harm(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    (tmp_path / ".events.partial.h5").write_bytes(b"half")
    (tmp_path / ".splits.h5.partial").write_bytes(b"half")
    load(config(path), None, 1, tmp_path)
    assert len(load_splits(tmp_path).train) == 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": (0.5, 0.5, 0.0)}, "three positive parts"),
        ({"split": (0.5, 0.5, 0.5)}, "three positive parts"),
        ({"classes": ["a"]}, "at least two"),
        ({"classes": ["a", "a"]}, "at least two"),
        ({"label": {"a": "x"}}, "at least two"),
        ({"label": {"a": "x", "b": "y"}, "classes": ["a", "bb"]}, "did you mean 'b'"),
        ({"format": "delphes"}, "Input should be"),
        ({"chunk": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_configurations(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate(settings)
