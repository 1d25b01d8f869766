"""Maps of calorimeter regions in the forms in which people have them give the same 252 inputs."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from triggerforge.config.data import DataConfig
from triggerforge.data.load import load
from triggerforge.data.readers.opening import sniff
from triggerforge.data.source import Count, EventSource
from triggerforge.errors import DataError

N = 40


def maps(seed: int = 0) -> np.ndarray:
    """(N, 18, 14) counts, a third of them not zero."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 1024, (N, 18, 14)) * (rng.random((N, 18, 14)) < 1 / 3)


def as_list(table: np.ndarray) -> np.ndarray:
    """(N, 260, 3): et, gctEta, gctPhi in random order, zeros behind them; by a loop."""
    rng = np.random.default_rng(1)
    lists = np.zeros((N, 260, 3), np.int32)
    for event in range(N):
        rows = [
            (table[event, phi, eta], eta + 4, phi)
            for phi in range(18)
            for eta in range(14)
            if table[event, phi, eta]
        ]
        lists[event, : len(rows)] = rng.permutation(rows)
    return lists


FORMS: dict[str, Any] = {
    "map": lambda t: {"CaloRegions": t.astype(np.uint16)},
    "floats": lambda t: {"CaloRegions": t.astype(np.float64)},
    "image": lambda t: {"CaloRegions": t[..., None].astype(np.float32)},
    "flat": lambda t: {"CaloRegions": t.reshape(N, 252)},
    "sectors": lambda t: {f"CaloRegions{i + 1}": t[:, 6 * i : 6 * i + 6] for i in range(3)},
    "list": lambda t: {"CaloRegions": as_list(t)},
}


def write(path: Path, datasets: dict[str, np.ndarray]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
        if "CaloRegions" in datasets or "CaloRegions1" in datasets:
            file["AcceptanceFlag"] = np.arange(N) % 2 == 0
    return path


def config(**own: Any) -> DataConfig:
    label = {"a": "AcceptanceFlag == 1", "b": "AcceptanceFlag == 0"}
    return DataConfig.model_validate({"inputs": {"kind": "l1_regions"}, "label": label} | own)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk", [7, 1000])
def test_every_form_gives_the_map(form: str, chunk: int, tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", FORMS[form](maps()))
    assert sniff(path, config()) == "regions"
    batches = list(EventSource(path, config(chunk=chunk)).batches(Count()))
    raw = np.concatenate([b.inputs.raw for b in batches])
    np.testing.assert_array_equal(raw, maps()[..., None])
    np.testing.assert_array_equal(np.concatenate([b.label for b in batches]), np.arange(N) % 2)


def test_the_class_is_in_the_name_of_the_file(tmp_path: Path) -> None:
    """Several files, one process each, become splits on hardware integers."""
    files = [
        write(tmp_path / f"{name}_0.h5", FORMS["map"](maps(seed)))
        for seed, name in enumerate(("ZeroBias", "SUEP", "SUEP_heavy"))
    ]
    classes = ["ZeroBias", "SUEP", "SUEP_heavy"]
    own = config(source=[str(f) for f in files], classes=classes, label=None, split=(0.4, 0.3, 0.3))
    splits = load(own, None, 1, tmp_path)
    assert splits.classes == tuple(classes)
    x = np.concatenate([part.x for part in (splits.train, splits.validation, splits.test)])
    y = np.concatenate([part.y for part in (splits.train, splits.validation, splits.test)])
    np.testing.assert_array_equal(np.bincount(y), [N, N, N])
    integers = x * 2.0 ** splits.contract.features[0].shift
    for label in range(3):
        found = sorted(map(tuple, integers[y == label].reshape(N, -1).astype(int).tolist()))
        assert found == sorted(map(tuple, maps(label).reshape(N, -1).tolist()))
    with pytest.raises(DataError, match=r"set data\.label"):
        load(config(source=[str(files[0])], label=None), None, 1, tmp_path)


def test_counts_past_ten_bits_saturate_and_are_said(tmp_path: Path, capsys: Any) -> None:
    table = maps()
    table[3, 2, 1] = 2000
    path = write(tmp_path / "x.h5", FORMS["map"](table))
    (batch,) = EventSource(path, config()).batches(Count())
    assert batch.inputs.raw[3, 2, 1, 0] == 1023
    assert "saturated in 1 of 40 events" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((9, 5, 3), np.nan, "1 regions are no integer .* nan in region_5_3 of event 9"),
        ((9, 5, 3), -1, "-1 in region_5_3 of event 9"),
        ((9, 5, 3), np.inf, "inf in region_5_3"),
        ((9, 5, 3), 12.5, "12.5 in region_5_3 of event 9; counts of 0.5 GeV are due"),
    ],
)
def test_numbers_that_are_no_counts(
    place: tuple[int, ...], value: float, message: str, tmp_path: Path
) -> None:
    table = maps().astype(float)
    table[place] = value
    path = write(tmp_path / "x.h5", FORMS["floats"](table))
    with pytest.raises(DataError, match=message):
        list(EventSource(path, config(chunk=7)).batches(Count()))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((50, 3, 0), r"1 regions lie outside .*\(3, 0\) of event 9"),
        ((50, 18, 0), r"outside .*\(18, 0\)"),
        ((50, 4, 18), r"outside .*\(4, 18\)"),
        (None, "event 9 has a region twice"),
    ],
)
def test_lists_of_other_places(row: Any, message: str, tmp_path: Path) -> None:
    lists = as_list(maps())
    lists[9, 259] = lists[9, 0] if row is None else row
    path = write(tmp_path / "x.h5", {"CaloRegions": lists})
    with pytest.raises(DataError, match=message):
        list(EventSource(path, config(chunk=7)).batches(Count()))


@pytest.mark.parametrize(
    "datasets",
    [
        {"CaloRegions": np.zeros((N, 14, 18))},
        {"CaloRegions": np.zeros(N)},
        {f"CaloRegions{i}": np.zeros((N - (i == 3), 6, 14)) for i in (1, 2, 3)},
        {"CaloRegions1": np.zeros((N, 6, 14))},
        {"Other": np.zeros((N, 18, 14))},
    ],
)
def test_other_shapes(datasets: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", datasets)
    with pytest.raises(DataError, match=r"x\.h5.*(are due|has no dataset)"):
        EventSource(path, config(format="regions"))
