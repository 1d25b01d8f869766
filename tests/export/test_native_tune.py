"""The fastest form is found once, remembered, and any form gives the same network."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from triggerforge.export.native import tune
from triggerforge.export.native.build import compiled, loaded
from triggerforge.export.native.float_source import write_float_source

RANDOM = np.random.default_rng(3)
WEIGHTS = RANDOM.normal(size=(11, 9)).astype(np.float32)
BIAS = RANDOM.normal(size=9).astype(np.float32)


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
        for name, size in (("x", 11), ("y", 9))
    ]
    constants = [numpy_helper.from_array(WEIGHTS, "w"), numpy_helper.from_array(BIAS, "b")]
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
    return write_float_source(
        helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], constants))
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def result(library: Path, x: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    y = np.empty((len(x), 9), np.float32)
    loaded(library).bind(x, y)()
    return y


@pytest.mark.parametrize("chains", tune.CHAINS)
@pytest.mark.parametrize("parts", tune.PARTS)
def test_every_form_is_the_network(
    chains: int, parts: int, sources: dict[str, str], cache: Path
) -> None:
    x = RANDOM.normal(size=(37, 11)).astype(np.float32)
    got = result(compiled(sources, cache, tune._options((chains, parts))), x)
    expected = x.astype(np.float64) @ WEIGHTS + BIAS
    assert np.abs(got - expected).max() <= 1e-6 * np.abs(expected).max()


def test_it_is_found_once(
    sources: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tune.fastest(sources, 11, 9, cache)
    monkeypatch.setattr(tune, "_find", lambda *_: pytest.fail("timed again"))
    assert tune.fastest(sources, 11, 9, cache) == first


@pytest.mark.parametrize("told", [b"", b"8 3", b"8 2 -fplugin=x", b"\xff\xfe"])
def test_a_damaged_memory_is_forgotten(
    told: bytes, sources: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = compiled(sources, cache, tune._options((8, 2))).with_name("fastest")
    remembered.write_bytes(told)
    monkeypatch.setattr(tune, "_find", lambda *_: (12, 0))
    assert tune.fastest(sources, 11, 9, cache) == compiled(sources, cache, tune._options((12, 0)))
    assert remembered.read_text() == "12 0"


def test_the_quickest_is_taken(
    sources: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {(8, 0): 0.004, (12, 0): 0.002, (12, 1): 0.002, (12, 2): 0}
    takes = {compiled(sources, cache, tune._options(form)): s for form, s in seconds.items()}

    class Module:
        def __init__(self, library: Path) -> None:
            self.library = library

        def bind(self, *_: object) -> object:
            return lambda: tune.time.sleep(takes[self.library])

    monkeypatch.setattr(tune, "loaded", Module)
    (compiled(sources, cache, tune._options((8, 2))).with_name("fastest")).unlink(missing_ok=True)
    assert tune.fastest(sources, 11, 9, cache) == compiled(sources, cache, tune._options((12, 2)))
