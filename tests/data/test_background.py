"""Data for an anomaly score: signals are in the test part alone, and no scale is theirs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.load import load
from triggerforge.data.splits import load_splits
from triggerforge.errors import DataError
from triggerforge.result import RECORD_FILE

Write = Callable[..., Path]


def config(path: Path, **settings: Any) -> DataConfig:
    return DataConfig.model_validate({"source": [str(path)], "split": (0.5, 0.2, 0.3)} | settings)


def test_signals_are_tested_only(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    (tmp_path / "told").mkdir()
    plain = load(config(path), None, 3, tmp_path / "told")
    name = plain.classes[0]
    splits = load(config(path, background=[name]), None, 3, tmp_path)
    assert splits.background == (name,) == load_splits(tmp_path).background
    for part in (splits.train, splits.validation):
        assert len(part) and set(part.y) == {0}
    total = sum(len(part) for part in (splits.train, splits.validation, splits.test))
    assert total == sum(len(part) for part in (plain.train, plain.validation, plain.test))
    kept = (plain.train.y == 0).sum(), (plain.test.y == 0).sum()
    assert kept == (len(splits.train), (splits.test.y == 0).sum())
    assert set(splits.test.y) == set(range(len(splits.classes)))
    assert json.loads((tmp_path / RECORD_FILE).read_text())["data"]["background"] == [name]


def test_no_signal_moves_a_scale(tmp_path: Path, jets: Any, written: Write) -> None:
    loud = replace(jets, features=np.where(jets.label[:, None] == 1, 50, 1) * jets.features)
    contracts: dict[bool, list[InputContract]] = {False: [], True: []}
    for i, events in enumerate((jets, loud)):
        (tmp_path / str(i)).mkdir()
        path = written("generator", events)
        first = load(config(path), None, 3, tmp_path / str(i)).classes[0]
        for background, found in contracts.items():
            chosen = config(path, background=[first] if background else [])
            found.append(load(chosen, None, 3, tmp_path / str(i)).contract)
    assert contracts[True][0] == contracts[True][1]
    assert contracts[False][0] != contracts[False][1]


@pytest.mark.parametrize(
    ("background", "told"),
    [
        (["quark"], "data.background: no class 'quark'"),
        (None, "names all classes"),
    ],
)
def test_a_background_that_leaves_nothing_is_refused(
    tmp_path: Path, jets: Any, written: Write, background: list[str] | None, told: str
) -> None:
    path = written("generator", jets)
    names = list(load(config(path), None, 3, tmp_path).classes)
    with pytest.raises(DataError, match=told):
        load(config(path, background=background or names), None, 3, tmp_path)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"classes": ["a", "b"], "background": ["c"]}, "no class 'c'"),
        ({"classes": ["a", "b"], "background": ["a", "b"]}, "no signal is left"),
        ({"background": ["a", "a"]}, "names a class twice"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        DataConfig.model_validate(settings)


def test_a_signal_alone_cannot_be_learned_from(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    first = load(config(path), None, 3, tmp_path).classes[0]
    few = config(path, background=[first], max_events=3)
    with pytest.raises(DataError, match="part has no event of class"):
        load(few, None, 3, tmp_path)


def test_indices_cover_all_events(tmp_path: Path, jets: Any, written: Write) -> None:
    path = written("generator", jets)
    first = load(config(path), None, 3, tmp_path).classes[0]
    splits = load(config(path, background=[first]), None, 3, tmp_path)
    rows = np.concatenate([p.x for p in (splits.train, splits.validation, splits.test)])
    assert len(np.unique(rows, axis=0)) == len(rows)
