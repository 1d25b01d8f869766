"""The compiled torch module gives torch's numbers, and is compiled once for each number of events.

The settings of the engine time candidates for each layer, for minutes; here the first is taken.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import MissingToolError, ModelError, ToolFailedError
from triggerforge.export.engines import torch_compile
from triggerforge.export.engines.torch_compile import TorchCompileRuntime
from triggerforge.training.trained import TrainedModel

TOLERANCE = 1e-5
"""largest difference, in units of the largest output"""


@pytest.fixture
def trained(make_contract: Callable[..., InputContract]) -> TrainedModel:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    return TrainedModel(module, make_contract(4), ("a", "b", "c"), {"class": "none"}, [])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(torch_compile.SETTINGS, "max_autotune", False)


@pytest.mark.slow
def test_outputs_are_those_of_torch_in_float64(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorchCompileRuntime, "blocks", (70,))
    engine = TorchCompileRuntime(trained)
    for events in (1, 200, 0):
        x = np.random.default_rng(events).normal(size=(events, 4)).astype(np.float32)
        with torch.no_grad():
            expected = trained.module.double()(torch.from_numpy(x).double()).numpy()
        trained.module.float()
        y = np.full_like(expected, np.nan, np.float32)
        engine.bind(x, y)()
        for got in (engine.predict(x), y):
            difference = np.abs(got - expected).max(initial=0)
            assert difference <= TOLERANCE * np.abs(expected).max(initial=0)
    x = np.ones((70, 4), np.float32)
    x[0, 2] = np.nan
    got = engine.predict(x)
    assert np.isnan(got[0]).all() and np.isfinite(got[1:]).all()


@pytest.mark.slow
def test_what_was_compiled_is_found_again(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiled = []

    def compile_(program: Any, package_path: str, **settings: Any) -> str:
        compiled.append(program)
        Path(package_path).write_bytes(b"")
        return package_path

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", compile_)

    def package(events: int) -> Path:
        program = torch.export.export(trained.module, (torch.zeros(events, 4),), strict=False)
        return torch_compile._compiled(program)

    one = package(1)
    assert package(1) == one and len(compiled) == 1
    assert package(2) != one
    with torch.no_grad():
        trained.module[0].bias[0] += 1
    assert package(1) != one and len(compiled) == 3
    assert {p.suffix for p in (tmp_path / "triggerforge" / "inductor").iterdir()} == {".pt2"}


def test_a_failing_compiler_is_reported(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: Any, **settings: Any) -> str:
        raise RuntimeError("no such instruction")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fail)
    with pytest.raises(ToolFailedError, match="no such instruction"):
        TorchCompileRuntime(trained).predict(np.zeros((1, 4), np.float32))
    assert not list((tmp_path / "triggerforge" / "inductor").iterdir())


def test_without_a_compiler_it_says_so(
    trained: TrainedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"g\+\+ was not found"):
        TorchCompileRuntime(trained)


def test_other_shapes_are_refused_before_anything_is_compiled(trained: TrainedModel) -> None:
    engine = TorchCompileRuntime(trained)
    with pytest.raises(ModelError, match="takes float32"):
        engine.predict(np.zeros((1, 5), np.float32))
    with pytest.raises(ModelError, match="output buffer"):
        engine.bind(np.zeros((1, 4), np.float32), np.zeros((1, 2), np.float32))
