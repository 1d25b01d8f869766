"""ADC2021, NanoAOD and generated crossings give the same 57 inputs; bad input is one clear error."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from triggerforge.config.data import DataConfig
from triggerforge.data.generator.l1.schema import TREE
from triggerforge.data.l1.encode import encode
from triggerforge.data.l1.layout import INPUTS, KINDS, OBJECTS, SLOTS
from triggerforge.data.load import load
from triggerforge.data.readers.opening import sniff
from triggerforge.data.source import Count, EventSource
from triggerforge.errors import DataError
from triggerforge.validation.crossingfiles import (
    CLASS,
    EVENTS,
    physical,
    write_adc2021,
    write_l1,
    write_l1nano,
)

WRITERS: dict[str, tuple[str, Callable[..., Path]]] = {
    "adc2021": ("Ato4l_lepFilter_13TeV.h5", write_adc2021),
    "l1nano": ("nano.root", write_l1nano),
    "l1": ("events.root", write_l1),
}
OBJECTS_ONLY = {
    "inputs": {"kind": "l1_objects"},
    "label": {"a": "jet0_pt > 20", "b": "jet0_pt <= 20"},
}


def written(layout: str, folder: Path, table: np.ndarray, **options: Any) -> Path:
    name, function = WRITERS[layout]
    return function(folder / name, table, **options)


def inputs_of(path: Path, **settings: Any) -> np.ndarray:
    config = DataConfig.model_validate(OBJECTS_ONLY | settings)
    batches = list(EventSource(path, config).batches(Count()))
    return np.concatenate([batch.inputs.raw for batch in batches])


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("chunk", [7, 1000])
def test_the_57_inputs_are_the_same_in_every_format(
    layout: str, chunk: int, tmp_path: Path
) -> None:
    table = physical()
    path = written(layout, tmp_path, table)
    assert sniff(path, DataConfig()) == layout
    expected = encode(table, "test").objects.reshape(EVENTS, 57)
    np.testing.assert_array_equal(inputs_of(path, chunk=chunk), expected)


def test_the_integers_mean_what_was_written(tmp_path: Path) -> None:
    table = physical()
    found = inputs_of(written("adc2021", tmp_path, table)).reshape(EVENTS, OBJECTS, 3)
    for kind in KINDS:
        rows = SLOTS[kind.name]
        for i, scale in enumerate(kind.scales):
            distance = found[:, rows, i] * scale.lsb - table[:, rows, i]
            if scale.periodic:
                distance = np.angle(np.exp(1j * distance))
            np.testing.assert_allclose(distance, 0.0, atol=1e-5)


@pytest.mark.parametrize("layout", ["adc2021", "l1nano"])
def test_unsorted_objects_are_sorted_and_said(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = physical()
    table[3, SLOTS["jet"]] = table[4, SLOTS["jet"]] = [[20.0 + i, 1.0, 1.0] for i in range(10)]
    found = inputs_of(written(layout, tmp_path, table))
    assert (np.diff(found.reshape(EVENTS, OBJECTS, 3)[:, SLOTS["jet"], 0], axis=1) <= 0).all()
    assert (
        "objects of 2 of 40 events did not fall in pT; they were sorted" in capsys.readouterr().err
    )


@pytest.mark.parametrize("layout", ["adc2021", "l1nano"])
def test_saturation_is_counted_and_said(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = physical()
    table[5, SLOTS["eg"].start] = [800.0, 1.0, 1.0]
    table[6, SLOTS["met"].start, 0] = 1e5
    path = written(layout, tmp_path, table)
    found = inputs_of(path)
    assert found[5, INPUTS.index("eg0_pt")] == 511 and found[6, INPUTS.index("met_pt")] == 4095
    assert "saturated, of 40 events: met_pt 1, eg0_pt 1" in capsys.readouterr().err
    kept = inputs_of(path, selection="saturated == 0")
    assert len(kept) == EVENTS - 2


@pytest.mark.parametrize("layout", ["adc2021", "l1nano"])
@pytest.mark.parametrize(
    ("value", "what"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-4.0, "negative")],
)
def test_bad_values(layout: str, value: float, what: str, tmp_path: Path) -> None:
    table = physical()
    table[9, SLOTS["mu"].start, 0] = value
    with pytest.raises(DataError, match=f"1 values are {what}, the first is pT of"):
        inputs_of(written(layout, tmp_path, table))


def test_a_class_in_the_wrong_row(tmp_path: Path) -> None:
    table = physical()
    classes = np.broadcast_to(CLASS[:, None], (EVENTS, OBJECTS, 1)).astype(float).copy()
    table[2, 5], classes[2, 5] = [30.0, 0.0, 0.0], 2
    with pytest.raises(DataError, match="row 5 of event 2 is of class 2, 3 is due"):
        inputs_of(written("adc2021", tmp_path, table, classes=classes))


def test_a_wrong_shape(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["Particles"] = np.zeros((5, 18, 4))
    with pytest.raises(DataError, match=r"shape \(N, 19, 4\) is due; found \(5, 18, 4\)"):
        inputs_of(tmp_path / "a.h5")


def test_the_process_of_an_adc_file_is_in_its_name(tmp_path: Path) -> None:
    path = written("adc2021", tmp_path, physical())
    config = DataConfig.model_validate({"inputs": {"kind": "l1_objects"}})
    (batch,) = EventSource(path, config).batches(Count())
    assert set(batch.label) == {1}
    other = write_adc2021(tmp_path / "mine.h5", physical())
    with pytest.raises(DataError, match=r"has no label of its own; set data\.label"):
        _ = EventSource(other, config).classes


def test_missing_branches_and_sums(tmp_path: Path) -> None:
    path = write_l1nano(tmp_path / "a.root", physical(), leave_out="L1Mu_eta")
    with pytest.raises(DataError, match="no branch 'L1Mu_eta'; did you mean"):
        inputs_of(path)
    path = write_l1nano(tmp_path / "b.root", physical(), sums=0)
    with pytest.raises(DataError, match="event 0 has 0 sums of type 2"):
        inputs_of(path)


def test_objects_in_an_rntuple_of_records(tmp_path: Path) -> None:
    """L1Jet.pt in place of L1Jet_pt."""
    path = write_l1nano(tmp_path / "a.root", physical())
    with uproot.open(path) as file:
        old = file["Events"].arrays(filter_name="L1*")
    names = [n.split("_", 1) for n in old.fields]
    records = {
        c: ak.zip({short: old[f"{c}_{short}"] for own, short in names if own == c})
        for c in {own for own, _ in names}
    }
    new = ak.zip(records, depth_limit=1)
    with uproot.recreate(tmp_path / "b.root") as file:
        file.mkrntuple("Events", new.layout.form).extend(new)
    np.testing.assert_array_equal(inputs_of(tmp_path / "b.root"), inputs_of(path))


def test_formats_without_regions_say_so(tmp_path: Path) -> None:
    path = written("adc2021", tmp_path, physical())
    config = DataConfig.model_validate({"inputs": {"kind": "l1_regions"}})
    with pytest.raises(DataError, match="no .*'region_"):
        list(EventSource(path, config).batches(Count()))


def test_a_tree_without_its_description(tmp_path: Path) -> None:
    path = write_l1(tmp_path / "events.root", physical())
    with uproot.open(path) as file:
        columns = file[TREE].arrays(library="np")
    with uproot.recreate(tmp_path / "bare.root") as file:
        file.mktree(TREE, {n: np.dtype((v.dtype, v.shape[1:])) for n, v in columns.items()})
        file[TREE].extend(columns)
    with pytest.raises(DataError, match="holds no 'branches' with the names of the classes"):
        inputs_of(tmp_path / "bare.root")


@pytest.mark.parametrize(("kind", "shape"), [("l1_objects", (57,)), ("l1_regions", (18, 14, 1))])
def test_crossings_become_splits_with_exact_integers(
    kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """x = integer x 2^-shift for every input: nothing of the hardware's bits is lost."""
    table = physical()
    path = write_l1(tmp_path / "events.root", table)
    config = DataConfig.model_validate(
        {"source": [str(path)], "inputs": {"kind": kind}, "weights": "weight"}
        | {"split": [0.4, 0.3, 0.3]}
    )
    splits = load(config, None, 1, tmp_path)
    contract = splits.contract
    assert contract.shape == shape and splits.classes == ("background", "SUEP")
    x = np.concatenate([part.x for part in (splits.train, splits.validation, splits.test)])
    np.testing.assert_array_equal(contract.quantize(x), x)
    assert not any(count.saturated for count in contract.audit(x))
    shift = np.array([feature.shift for feature in contract.features])
    integers = x * 2.0**shift
    np.testing.assert_array_equal(integers, np.rint(integers))
    weight = np.concatenate([p.weight for p in (splits.train, splits.validation, splits.test)])
    assert weight.sum() == pytest.approx(np.linspace(0.5, 2, EVENTS).sum(), rel=1e-6)
    record = json.loads((tmp_path / "record.json").read_text())["data"]
    assert record["format"] == "l1"
    if kind == "l1_objects":
        units = dict(zip(contract.names, (f.unit for f in contract.features), strict=True))
        assert units["met_pt"] == "0.5 GeV" and units["mu3_phi"] == "2pi/576 rad"
        assert contract.features[0].format.width == 12
