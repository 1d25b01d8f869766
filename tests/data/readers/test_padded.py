"""Constituents that cannot be, and labels that contradict each other: counted and said in every format."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.load import load
from triggerforge.data.score import score_file
from triggerforge.data.source import Count, EventSource
from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat

Write = Callable[..., Path]
LAYOUTS = ("toptag", "lhcjets", "lhco", "energyflow", "quadruple")
CLASSES = {"lhcjets": ["g", "q"], "quadruple": ["gluon", "quark"]}


def settings(path: Path, layout: str, **own: Any) -> DataConfig:
    inputs = {"kind": "constituents", "constituents": 4, "names": ["pt_rel", "deta"]}
    tree = {"source": [str(path)], "inputs": inputs, "classes": CLASSES.get(layout, [])}
    return DataConfig.model_validate(tree | {"split": (0.5, 0.2, 0.3)} | own)


def set_first(path: Path, layout: str, event: int, value: float, energy_only: bool = True) -> None:
    """Puts `value` in the place of the energy (pT) of the event's first constituent."""
    if layout in ("toptag", "lhco", "lhcjets"):
        name = {
            "toptag": "table/table",
            "lhco": "df/block0_values",
            "lhcjets": "jetConstituentList",
        }
        with h5py.File(path, "a") as file:
            data = file[name[layout]]
            row = data[event]
            if layout == "toptag":
                row["values_block_0"][0] = value
            elif layout == "lhco":
                row[0] = value
            else:
                row[0, 3] = value
            data[event] = row
    elif layout == "energyflow":
        with np.load(path) as content:
            x, y = content["X"].copy(), content["y"]
        x[event, 0, 0] = value
        np.savez(path, X=x, y=y)
    else:
        table = np.load(path)
        table[event, 3, 0] = value
        np.save(path, table)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [np.nan, -5.0, np.inf])
def test_a_constituent_that_cannot_be_is_not_dropped(
    layout: str, value: float, tmp_path: Path, jets: Any, written: Write, capsys: Any
) -> None:
    path = written(layout, jets)
    set_first(path, layout, 7, value)
    with pytest.raises(DataError, match=r"NaN or infinite, the first is 'pt_rel' of event 7 in .*"):
        load(settings(path, layout), None, 1, tmp_path)
    said = capsys.readouterr().err
    assert f"{path}: 1 constituents of 1 events have no" in said and "unphysical == 0" in said
    splits = load(settings(path, layout, selection="unphysical == 0"), None, 1, tmp_path)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 59


@pytest.mark.parametrize("layout", ["toptag", "lhcjets"])
def test_no_energy_beside_a_momentum(
    layout: str, tmp_path: Path, jets: Any, written: Write, capsys: Any
) -> None:
    path = written(layout, jets)
    set_first(path, layout, 3, 0.0)
    with pytest.raises(DataError, match="of event 3 in"):
        load(settings(path, layout), None, 1, tmp_path)
    assert "zero beside a momentum" in capsys.readouterr().err


@pytest.mark.parametrize("layout", LAYOUTS)
def test_such_an_event_gets_no_score(
    layout: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written(layout, jets)
    set_first(path, layout, 7, -5.0)
    fmt = FixedFormat.parse("ap_fixed<8,4,RND,SAT>")
    names = ("pt_rel", "deta")
    contract = InputContract(tuple(InputFeature(n, "", 0.0, 0, fmt) for n in names), (4, 2))
    config = settings(path, layout)
    done = score_file(lambda x: x[:, 0], config, contract, path, tmp_path / "out.parquet")
    assert (done.events, done.not_scored) == (60, 1)


@pytest.mark.parametrize("layout", ["toptag", "lhcjets", "quadruple"])
def test_an_energy_below_the_momentum_is_said(
    layout: str, tmp_path: Path, jets: Any, written: Write, capsys: Any
) -> None:
    path = written(layout, jets)
    load(settings(path, layout), None, 1, tmp_path)
    assert "below their momentum" not in capsys.readouterr().err
    set_first(path, layout, 7, 0.5)
    load(settings(path, layout), None, 1, tmp_path)
    assert "1 constituents have an energy below their momentum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "1 entries are neither 0 nor 1, the first is 0.5 in event 4"),
        (np.nan, "1 entries are"),
    ],
)
def test_a_mask_of_other_numbers(
    value: float, message: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written("quadruple", jets)
    mask = np.load(path.with_name("toy_pf_mask.npy"))
    mask[4, 0, 0] = value
    np.save(path.with_name("toy_pf_mask.npy"), mask)
    with pytest.raises(DataError, match=message):
        load(settings(path, "quadruple"), None, 1, tmp_path)


def test_a_mask_that_points_to_nothing(
    tmp_path: Path, jets: Any, written: Write, capsys: Any
) -> None:
    """The mask says that there is a constituent, its four-vector is zero."""
    path = written("quadruple", jets)
    table = np.load(path)
    table[5, :, 0] = 0
    np.save(path, table)
    with pytest.raises(DataError, match="of event 5 in"):
        load(settings(path, "quadruple"), None, 1, tmp_path)
    assert "1 constituents of 1 events have no energy above zero" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [(1, 1), (0.5, 0), (np.nan, 0), (2, 0), (-1, 1)])
def test_class_flags_that_contradict(
    flags: tuple[float, float], tmp_path: Path, jets: Any, written: Write
) -> None:
    path = written("lhcjets", jets)
    with h5py.File(path, "a") as file:
        names = [n.decode() for n in file["jetFeatureNames"][:]]
        row = file["jets"][9]
        row[names.index("j_g")], row[names.index("j_q")] = flags
        file["jets"][9] = row
    with pytest.raises(DataError, match="class flags of 1 events are .* of event 9; mend"):
        load(settings(path, "lhcjets"), None, 1, tmp_path)


def test_branches_of_flags_that_contradict(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("jetclass", jets)
    with uproot.open(path) as file:
        columns = file["tree"].arrays()
    named = {n: columns[n] for n in columns.fields if not n.startswith("n")}
    named["label_QCD"] = ak.Array(np.ones(60, np.bool_))
    with uproot.recreate(path) as file:
        file.mktree("tree", {n: v.type.content for n, v in named.items()}).extend(named)
    with pytest.raises(DataError, match="class flags of 30 events are not 0 and a single 1"):
        load(settings(path, "jetclass", classes=["QCD", "Hbb"]), None, 1, tmp_path)


def test_an_event_of_no_class_is_no_contradiction(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    """The set has a flag for undefined jets: none of the five is set there."""
    path = written("lhcjets", jets)
    with h5py.File(path, "a") as file:
        names = [n.decode() for n in file["jetFeatureNames"][:]]
        row = file["jets"][9]
        row[names.index("j_g")] = row[names.index("j_q")] = 0
        row[names.index("j_undef")] = 1
        file["jets"][9] = row
    count = Count()
    list(EventSource(path, settings(path, "lhcjets")).batches(count))
    assert (count.read, count.unlabelled) == (60, 1)


@pytest.mark.parametrize("layout", ["quadruple", "energyflow"])
def test_classes_that_a_file_does_not_name_are_asked_for(
    layout: str, tmp_path: Path, jets: Any, written: Write
) -> None:
    """Points, mask and labels of top jets have the same layout: nobody may call them quarks."""
    path = written(layout, jets)
    if layout == "energyflow":
        path = path.rename(tmp_path / "tops.npz")
    config = settings(path, layout, classes=[])
    with pytest.raises(DataError, match=r"numbers its classes .*name them in data\.classes"):
        load(config, None, 1, tmp_path)
    splits = load(settings(path, layout, classes=["qcd", "top"]), None, 1, tmp_path)
    assert splits.classes == ("qcd", "top")
    contract = splits.contract
    out = tmp_path / "out.parquet"  # to score such a file no names are needed
    assert score_file(lambda x: x[:, 0], config, contract, path, out, ("a", "b")).events == 60


def test_labels_past_the_classes_that_were_named(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("quadruple", replace(jets, label=np.arange(60) % 3))
    with pytest.raises(DataError, match=r"20 labels are not integers in 0\.\.1"):
        load(settings(path, "quadruple", classes=["a", "b"]), None, 1, tmp_path)


def test_the_published_files_are_known_by_their_name(
    tmp_path: Path, jets: Any, written: Write
) -> None:
    splits = load(settings(written("energyflow", jets), "energyflow"), None, 1, tmp_path)
    assert splits.classes == ("gluon", "quark")
