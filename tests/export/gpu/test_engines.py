"""The GPU engines keep the runtimes' contract; without a card they say what is missing."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from triggerforge.errors import ArtifactError, MissingToolError, ModelError
from triggerforge.export.engines.triton import TritonRuntime
from triggerforge.export.files import FLOAT_FILE
from triggerforge.export.gpu import runtime
from triggerforge.export.gpu.triton_kernel import interpreted
from triggerforge.export.runtime import ENGINES, EngineSource

ALL = ("triton", "torch-cuda-graph", "cuda-int", "cuda-persistent")
NO_CARD = not torch.cuda.is_available()


def can_run(name: str) -> bool:
    return not NO_CARD or (name == "triton" and find_spec("triton") is not None and interpreted())


def params(runnable: bool) -> list[object]:
    reason = "no GPU is at hand" if runnable else "there is a GPU"
    return [
        pytest.param(n, marks=pytest.mark.skipif(can_run(n) != runnable, reason=reason))
        for n in ALL
    ]


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("name", params(runnable=True))
def test_bound_calls_write_what_predict_gives(
    source: EngineSource, name: str, copied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if copied:
        monkeypatch.setattr(runtime, "_DIRECT", 0)
    engine = ENGINES[name](source)
    assert source.trained is not None and source.quantized is not None
    x = source.trained.contract.quantize(np.random.default_rng(1).normal(size=(40, 6)))
    first, second = np.split(np.ascontiguousarray(x, np.float32), 2)
    assert engine.name == name
    assert engine.device == ("cuda" if torch.cuda.is_available() else "cpu")  # type: ignore[attr-defined]
    expected = engine.predict(first)
    if engine.model == "quantized":
        np.testing.assert_array_equal(expected, source.quantized.predict(first))
    else:
        np.testing.assert_allclose(expected, source.trained.predict(first), atol=1e-5)
    held, y = second.copy(), np.full_like(expected, np.nan)
    call = engine.bind(held, y)
    held[:] = first
    call()
    np.testing.assert_array_equal(y, expected)
    assert engine.predict(first[:0]).shape == (0, 3)


@pytest.mark.parametrize("name", params(runnable=True))
def test_what_does_not_fit_is_refused(source: EngineSource, name: str) -> None:
    engine = ENGINES[name](source)
    x = np.zeros((4, 6), np.float32)
    y = engine.predict(x)
    with pytest.raises(ModelError, match=r"takes float32 \(N, 6\)"):
        engine.predict(x[:, :5])
    with pytest.raises(ModelError, match="output buffer"):
        engine.bind(x, y[:3])
    with pytest.raises(ModelError, match="contiguous"):
        engine.bind(np.zeros((8, 6), np.float32)[::2], y)


@pytest.mark.parametrize("name", params(runnable=False))
def test_without_a_card_an_engine_says_what_is_missing(source: EngineSource, name: str) -> None:
    with pytest.raises(MissingToolError, match="without CUDA|no GPU was found|was not found"):
        ENGINES[name](source)


@pytest.mark.parametrize("name", ALL)
def test_an_engine_without_its_part_says_what_it_needs(name: str) -> None:
    with pytest.raises(ModelError, match="this engine needs"):
        ENGINES[name](EngineSource())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / FLOAT_FILE).write_bytes(b"\x07" * 99)
    with pytest.raises(ArtifactError, match="export"):
        TritonRuntime(tmp_path / FLOAT_FILE)
