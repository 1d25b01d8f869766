"""The emulator's comparison counts every output that differs, on the events that were asked for."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.benchmark import emulation
from triggerforge.benchmark.corners import corner_inputs
from triggerforge.benchmark.emulation import ENGINE, compare, main, speeds
from triggerforge.benchmark.engines import make_engines
from triggerforge.data.contract import InputContract
from triggerforge.export.runtime import EngineSource, Runtime


class Wrong:
    """alir, but for what `change` does to its outputs."""

    name, model = "wrong", "quantized"

    def __init__(self, right: Runtime, change: Callable[[Any], None]) -> None:
        self._right = right
        self._change = change

    def predict(self, x: Any) -> Any:
        y = self._right.predict(x).copy()
        self._change(y)
        return y

    def bind(self, x: Any, y: Any) -> Callable[[], None]:
        raise NotImplementedError


def one_more(y: Any) -> None:
    y[-1, 0] += 2.0**-10


def not_finite(y: Any) -> None:
    y[:, 1] = np.nan


@pytest.fixture
def engines(source: EngineSource) -> dict[str, Runtime]:
    made, not_run = make_engines((ENGINE, "alir"), source)
    assert not not_run
    return made


def test_the_same_network_differs_nowhere(
    engines: dict[str, Runtime], contract: InputContract
) -> None:
    corners = sum(map(len, corner_inputs(contract, 1, 1).values()))
    limits = {ENGINE: emulation._CHUNK + 500, "alir": 300}
    rows = {row.engine: row for row in compare(engines, contract, limits)}
    assert rows["alir"].events == corners + 300
    assert rows[ENGINE].events == corners + emulation._CHUNK + 500
    assert all(row.mismatches == 0 for row in rows.values())


def test_every_wrong_output_counts(engines: dict[str, Runtime], contract: InputContract) -> None:
    right = engines["alir"]
    wrong: dict[str, Runtime] = {"one": Wrong(right, one_more), "none": Wrong(right, not_finite)}
    limits = {ENGINE: 50, "one": 50, "none": 50}
    rows = {r.engine: r for r in compare({ENGINE: engines[ENGINE]} | wrong, contract, limits)}
    assert rows["one"].mismatches == 2  # the last event of the corners, and of the random ones
    assert rows["none"].mismatches == rows["none"].events


def test_every_engine_has_a_speed(engines: dict[str, Runtime], contract: InputContract) -> None:
    found = speeds(engines, contract)
    assert set(found) == set(engines) and min(found.values()) > 0


@pytest.mark.parametrize(("change", "status"), [(None, 0), (one_more, 1)])
def test_the_table_and_the_status(
    source: EngineSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Any], None] | None,
    status: int,
) -> None:
    assert source.quantized is not None
    (tmp_path / "compress").mkdir()
    source.quantized.save(tmp_path / "compress" / emulation.MODEL_FILE)
    made = emulation.make_engines

    def engines(names: Any, source: EngineSource) -> Any:
        found, not_run = made(names, source)
        if change:
            found["alir"] = Wrong(found["alir"], change)
        return found, not_run

    monkeypatch.setattr(emulation, "make_engines", engines)
    assert main([str(tmp_path), "--inputs", "100"]) == status
    table = capsys.readouterr().out
    assert "rtl         not run" in table and "alir" in table


def test_a_folder_that_is_no_run_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none")]) == 1
    assert re.match("error: .*none.*no quantised model", capsys.readouterr().err)


def test_without_native_int_there_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(emulation.QuantizedModel, "load", lambda path: None)
    monkeypatch.setattr(emulation, "make_engines", lambda names, source: ({}, {ENGINE: "no g++"}))
    assert main([str(tmp_path)]) == 1
    assert "nothing to compare with: no g++" in capsys.readouterr().err
