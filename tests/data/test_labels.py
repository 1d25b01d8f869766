"""Columns that look like labels, and what is said where none is set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.labels import label_candidates
from triggerforge.data.load import load
from triggerforge.data.source import Count, EventSource
from triggerforge.errors import DataError

N = 120
RNG = np.random.default_rng(4)
FLAG = RNG.integers(0, 2, N)
KIND = RNG.integers(0, 3, N)
BESIDE: dict[str, Any] = {
    "pt": RNG.exponential(30, N),
    "run": np.full(N, 3),
    "event": np.arange(N),
    "HLT_IsoMu24": RNG.integers(0, 2, N).astype(bool),
    "nJet": RNG.integers(0, 4, N),
}


def found(columns: dict[str, Any]) -> list[tuple[tuple[str, ...], list[str]]]:
    return [(c.columns, list(c.label)) for c in label_candidates(BESIDE | columns)]


@pytest.mark.parametrize(
    "name", ["label", "is_signal", "isTop", "target", "truth_label", "y", "Jet_isB", "jet.is_b"]
)
@pytest.mark.parametrize("kind", ["bool", "uint8", "int64", "float32"])
def test_a_flag_by_any_name_and_type(name: str, kind: str) -> None:
    (candidate,) = label_candidates(BESIDE | {name: FLAG.astype(kind)})
    assert candidate.columns == (name,)
    assert candidate.values == {"0": int((FLAG == 0).sum()), "1": int(FLAG.sum())}
    assert candidate.label == {"background": f"{name} == 0", "signal": f"{name} == 1"}


@pytest.mark.parametrize("beginning", ["label_", "is", "truth_is_", "Jet_is"])
def test_flags_that_exclude_each_other_are_one_label(beginning: str) -> None:
    names = [f"{beginning}{c}" for c in ("QCD", "Top", "W")]
    columns = {n: (i == KIND) * 1 for i, n in enumerate(names)}
    (candidate,) = label_candidates(BESIDE | columns)
    assert set(candidate.columns) == set(names)
    assert candidate.label == {c: f"{beginning}{c} == 1" for c in ("QCD", "Top", "W")}
    columns[names[0]] = np.ones(N, int) * (np.arange(N) > 3)  # overlaps: three flags of their own
    assert [c.columns for c in label_candidates(BESIDE | columns)] == [(n,) for n in names]


def test_flavours_are_named() -> None:
    flavour = RNG.choice([0, 1, -2, 3, -4, 5, 21, -21], N)
    ((columns, classes),) = found({"Jet_partonFlavour": flavour})
    assert columns == ("Jet_partonFlavour",) and classes == ["light", "charm", "bottom", "gluon"]
    (candidate,) = label_candidates({"Jet_partonFlavour": flavour})
    assert candidate.label["light"] == (
        "(abs(Jet_partonFlavour) >= 1) & (abs(Jet_partonFlavour) <= 3)"
    )
    assert candidate.values["±21"] == int((np.abs(flavour) == 21).sum())


def test_names_come_before_values_and_the_likeliest_first() -> None:
    assert found({"colour": KIND}) == [(("colour",), ["class_0", "class_1", "class_2"])]
    assert found({"colour": KIND, "my_label": FLAG}) == [(("my_label",), ["background", "signal"])]
    order = found({"isolated_target": FLAG, "my_label": KIND, "is_x": FLAG})
    assert [c for c, _ in order] == [("my_label",), ("isolated_target",), ("is_x",)]


def test_what_is_no_label() -> None:
    none: dict[str, Any] = {
        "label": np.zeros(N, int),  # one class alone
        "truth_pt": RNG.normal(size=N),
        "label_idx": FLAG,
        "class": FLAG,  # a keyword: no expression can speak of it
        "label_nan": np.where(np.arange(N) == 2, np.nan, 1.0),
        "label_huge": np.where(FLAG == 1, 2**60, 0),
        "label_many": np.arange(N),
    }
    assert found(none) == []
    assert label_candidates({}) == [] and label_candidates({"label": np.zeros(0, int)}) == []


def own_file(path: Path, columns: dict[str, Any]) -> Path:
    with uproot.recreate(path) as file:
        types = {
            n: v.type.content if isinstance(v, ak.Array) else v.dtype for n, v in columns.items()
        }
        file.mktree("ev", types).extend(columns)
    return path


@pytest.mark.parametrize("settings", [{}, {"classes": ["a", "b"]}])
def test_a_root_file_without_a_label_is_one_line(settings: dict[str, Any], tmp_path: Path) -> None:
    """B1: with what to write, and the branches that look like labels; what it says is taken."""
    columns = BESIDE | {"isTop": FLAG.astype(bool), "lambda": FLAG, "Jet_pt": ak.Array([[1.0]] * N)}
    path = own_file(tmp_path / "own.root", columns)
    config: dict[str, Any] = {"source": [str(path)], "inputs": {"names": ["pt"]}}
    expected = r"own\.root: the format 'root' has no label .* set data\.label .*"
    expected += r"\{background: 'isTop == 0', signal: 'isTop == 1'\}.* isTop \(0: \d+, 1: \d+\)"
    with pytest.raises(DataError, match=expected) as caught:
        load(DataConfig.model_validate(config | settings), None, 1, tmp_path)
    assert "\n" not in str(caught.value)
    label = {"background": "isTop == 0", "signal": "isTop == 1"}
    splits = load(DataConfig.model_validate(config | {"label": label}), None, 1, tmp_path)
    assert splits.classes == ("background", "signal")


def test_a_collection_has_labels_of_its_elements(tmp_path: Path) -> None:
    columns = {"Jet_pt": ak.Array([[1.0, 2.0]] * N), "Jet_isB": ak.Array([[0, 1]] * N)}
    path = own_file(tmp_path / "own.root", columns)
    config = {"inputs": {"names": ["pt"]}, "mapping": {"objects": "Jet"}}
    with pytest.raises(DataError, match=rf"signal: 'isB == 1'.*isB \(0: {N}, 1: {N}\)"):
        next(EventSource(path, DataConfig.model_validate(config)).batches(Count()))


def test_real_jets_are_offered_their_flavour(shared: Callable[[str], Path]) -> None:
    path = shared("cms_root_samples/nano_dy.root")
    source = EventSource(path, DataConfig.model_validate({"inputs": {"names": ["pt"]}}))
    with pytest.raises(DataError, match="gluon: 'abs.partonFlavour. == 21'"):
        next(source.batches(Count()))


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no inputs": ({}, "inputs.names is not set.*name columns of the file, which has .*pt"),
    "text": ({"inputs": {"names": ["word"]}}, "'word'; the file has it, but it holds text"),
    "text in a mapping": (
        {"mapping": {"columns": {"x": "word"}}, "inputs": {"names": ["x"]}},
        "branch 'word' holds text",
    ),
    "a list": ({"inputs": {"names": ["Jet_pt"]}}, "reduce it in .*data.mapping.objects"),
    "constituents by no name": (
        {"inputs": {"kind": "constituents"}},
        "columns for pt, eta, phi .* in `data.mapping.constituents`; it has Jet_pt",
    ),
    "another tree": ({"mapping": {"tree": "evt"}}, r"no tree 'evt' \(did you mean 'ev'"),
    "a collection": ({"mapping": {"objects": "Jets"}}, "no collection .* did you mean 'Jet'"),
    "a keyword": ({"inputs": {"names": ["lambda"]}}, "'lambda': is no expression"),
    "an index table": (
        {
            "mapping": {
                "objects": "Jet",
                "candidates": "Jet",
                "links": "Jet",
                "constituents": {"pt": "pt", "eta": "pt", "phi": "pt"},
            },
            "inputs": {"kind": "constituents"},
        },
        r"mapping.links 'Jet' has the columns \['pt'\]; an index table has one that ends in jetIdx",
    ),
    "another format": ({"format": "nanoaod"}, r"no tree 'Events'.* ev \(120\)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_first_mistakes_with_ones_own_file(mistake: str, tmp_path: Path) -> None:
    columns = BESIDE | {
        "isTop": FLAG,
        "Jet_pt": ak.Array([[1.0]] * N),
        "lambda": FLAG,
        "word": ak.Array(["up", "down"] * (N // 2)),
    }
    path = own_file(tmp_path / "own.root", columns)
    settings, message = MISTAKES[mistake]
    label = {"s": "isTop == 1", "b": "isTop == 0"}
    config = DataConfig.model_validate({"source": [str(path)], "label": label} | settings)
    with pytest.raises(DataError, match=message) as caught:
        load(config, None, 1, tmp_path)
    assert "\n" not in str(caught.value)
