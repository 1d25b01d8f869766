"""What a file holds, told before anything is made, and a section that reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from triggerforge.config.data import DataConfig, Format
from triggerforge.data.inspect_events import inspect_events
from triggerforge.data.load import load
from triggerforge.errors import DataError

Write = Callable[..., Path]
LAYOUTS = {
    "generator": "generator",
    "jetclass": "jetclass",
    "pfnano": "pfnano",
    "toptag": "toptag",
    "lhco": "lhco",
    "lhcjets": "lhcjets",
    "arff": "lhcjets16",
    "parquet": "lhcjets16",
    "energyflow": "energyflow",
    "quadruple": "energyflow",
}
"""of the tests' writers -> format"""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_format_is_described_and_its_suggestion_runs(
    layout: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written(layout, jets)
    found = inspect_events(path)
    assert found.format == LAYOUTS[layout]
    assert found.entries == {"pfnano": 30, "arff": -1}.get(layout, 60)
    assert all(c.kind in ("flat", "jagged", "nested", "other") for c in found.columns)
    assert len({c.name for c in found.columns if c.kind == "flat"}) >= (1 if found.trees else 0)
    classes = {"jetclass": ["QCD", "Hbb"], "lhcjets": ["g", "q"], "lhcjets16": ["g", "q"]}
    section = found.suggestion | {"split": [0.5, 0.2, 0.3]}
    if found.format in classes:  # the file has events of a part of the format's classes
        section |= {"classes": classes[found.format]}
    splits = load(DataConfig.model_validate(section), None, 1, tmp_path)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 60


def test_examples_are_the_range_of_the_first_entries(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    found = inspect_events(written("pfnano", jets))
    columns = {c.name: c for c in found.columns}
    pt = columns["PFCands_pt"]
    assert (pt.kind, pt.collection) == ("jagged", "PFCands")
    assert (pt.low, pt.high) == pytest.approx((jets.pt.min(), jets.pt.max()), rel=1e-6)
    met = columns["MET_pt"]
    assert (met.kind, met.type, met.low, met.high) == ("flat", "float32", 0, 29)
    assert found.collections["FatJet"] == ("eta", "mass", "phi", "pt", "truth")
    assert found.tree == "Events" and found.trees == {"Events": 30}
    assert found.labels[0].columns == ("truth",) and found.labels[0].values == {"0": 30, "1": 30}
    assert found.suggestion["label"] == {"background": "truth == 0", "signal": "truth == 1"}


def ntuple(path: Path, tree: str = "ntuple/events", entries: int = 400) -> Path:
    """Twenty branches of one's own: numbers, a flag, text, a weight, a run number, a trigger bit."""
    rng = np.random.default_rng(1)
    columns: dict[str, Any] = {f"x{i}": rng.normal(i, 1, entries) for i in range(12)}
    columns |= {
        "isTop": rng.integers(0, 2, entries).astype(bool),
        "genWeight": rng.normal(1, 0.1, entries),
        "run": np.full(entries, 7),
        "event": np.arange(entries),
        "HLT_Mu": rng.integers(0, 2, entries).astype(bool),
        "constant": np.ones(entries),
        "hole": np.where(np.arange(entries) == 3, np.nan, 1.0) * rng.normal(size=entries),
        "word": ak.Array(["a", "b"] * (entries // 2)),
    }
    with uproot.recreate(path) as file:
        types = {
            n: v.type.content if isinstance(v, ak.Array) else v.dtype for n, v in columns.items()
        }
        file.mktree(tree, types).extend(columns)
        file.mktree("other", {"n": "i4"}).extend({"n": np.arange(3)})
    return path


def test_an_ntuple_of_ones_own(tmp_path: Path) -> None:
    path = ntuple(tmp_path / "own.root")
    found = inspect_events(path)
    assert found.trees == {"ntuple/events": 400, "other": 3} and found.tree == "ntuple/events"
    assert {c.name: c.type for c in found.columns}["word"] == "text"
    section = found.suggestion
    assert sorted(section["inputs"]["names"]) == sorted(f"x{i}" for i in range(12))
    assert section["label"] == {"background": "isTop == 0", "signal": "isTop == 1"}
    notes = " ".join(found.notes)
    assert "of 2 trees this is the longest" in notes and "genWeight" in notes
    assert len(load(DataConfig.model_validate(section), None, 1, tmp_path).train) == 200


def test_a_file_without_a_label_gets_two_halves_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.root"
    values = np.random.default_rng(1).normal(size=(3, 100))
    with uproot.recreate(path) as file:
        file["t"] = {"a": values[0], "b": values[1], "c": values[2]}
    found = inspect_events(path)
    assert found.labels == () and "two halves stand in its place" in " ".join(found.notes)
    splits = load(DataConfig.model_validate(found.suggestion), None, 1, tmp_path)
    assert splits.classes == ("low", "high")
    y = np.concatenate([splits.train.y, splits.validation.y, splits.test.y])
    assert np.bincount(y).tolist() == [50, 50]


def test_columns_that_cannot_be_read_stop_nothing(tmp_path: Path) -> None:
    path = ntuple(tmp_path / "own.root", "t")
    with uproot.open(path) as file:
        at = int(file["t"]["x3"].member("fBasketSeek")[0])
    raw = bytearray(path.read_bytes())
    raw[at : at + 60] = b"\xff" * 60
    path.write_bytes(raw)
    found = inspect_events(path)
    ranges = {c.name: c.low for c in found.columns}
    assert ranges["x3"] is None and ranges["x4"] is not None
    assert "x3" not in found.suggestion["inputs"]["names"]
    assert len(load(DataConfig.model_validate(found.suggestion), None, 1, tmp_path).train) == 200


def test_files_of_no_use_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no events\n" * 20)
    (tmp_path / "empty.root").write_bytes(b"")
    whole = ntuple(tmp_path / "own.root").read_bytes()
    (tmp_path / "cut.root").write_bytes(whole[: len(whole) // 2])
    with uproot.recreate(tmp_path / "histogram.root") as file:
        file["h"] = np.histogram(np.arange(3))
    with uproot.recreate(tmp_path / "none.root") as file:
        file.mktree("t", {"x": "f4"})
    for name in ("notes.txt", "empty.root", "cut.root", "histogram.root", "none.root", "absent"):
        with pytest.raises(DataError, match=name) as caught:
            inspect_events(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_parquet_table_and_a_map_of_regions(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 200)
    table = {"a": rng.normal(size=200), "b": rng.normal(size=200), "label": label}
    ak.to_parquet(ak.Array(table), tmp_path / "x.parquet")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["CaloRegions"] = rng.integers(0, 1024, (200, 18, 14))
        file["is_signal"] = label
    kinds = {"x.parquet": ("parquet", "features"), "x.h5": ("regions", "l1_regions")}
    for name, (form, kind) in kinds.items():
        found = inspect_events(tmp_path / name)
        assert found.format == form and found.suggestion["inputs"]["kind"] == kind
        assert len(found.suggestion["label"]) == 2
        assert (
            len(load(DataConfig.model_validate(found.suggestion), None, 1, tmp_path).train) == 100
        )


REAL = {
    "cms_root_samples/nano_dimuon.root": ("nanoaod", "Jet"),
    "cms_root_samples/scouting_nano.root": ("root", "ScoutingFatJet"),
    "cms_root_samples/test_FCC_Winter2023.root": ("root", "Jet"),
    "skhep_root/uproot-HZZ.root": ("root", "Jet"),
    "skhep_root/uproot-Zmumu.root": ("root", None),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_described_and_their_suggestion_runs(
    name: str, tmp_path: Path, shared: Callable[[str], Path]
) -> None:
    form, objects = REAL[name]
    found = inspect_events(shared(name))
    assert found.format == form
    if objects:
        assert found.suggestion["mapping"]["objects"] == objects
    splits = load(DataConfig.model_validate(found.suggestion), None, 1, tmp_path)
    assert len(splits.classes) >= 2 and len(splits.train) >= 10


def test_the_formats_tried_here_are_all_but_those_of_level_1() -> None:
    level1 = {"l1", "l1nano", "adc2021"}
    tried = {*LAYOUTS.values(), *(form for form, _ in REAL.values()), "parquet", "regions"}
    assert tried == set(get_args(Format)) - level1 - {"auto"}
