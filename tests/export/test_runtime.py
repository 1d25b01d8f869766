"""One protocol, every engine: the same answers from predict and bind, the same refusals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract
from triggerforge.errors import (
    ArtifactError,
    DataError,
    MissingToolError,
    ModelError,
    RegistryError,
)
from triggerforge.export.files import QUANTIZED_FILE
from triggerforge.export.probe import central_inputs, random_port_inputs
from triggerforge.export.runtime import ENGINES, EngineSource, first_engine

NAMES = ("torch", "onnxruntime", "native", "onnxruntime-quantized", "alir", "hgq2", "native-int")
QUANTIZED = ("onnxruntime-quantized", "alir", "hgq2", "native-int")
engines = pytest.mark.parametrize("name", NAMES)


def off_grid_inputs(contract: InputContract, events: int, seed: int) -> NDArray[np.float32]:
    """x (events, *shape) between the steps, halfway between them, and beyond both ends of the range."""
    rng = np.random.default_rng(seed)
    x = random_port_inputs(contract, events, seed)
    steps = np.array([f.format.lsb for f in contract.features])
    part = np.choose(rng.integers(0, 3, x.shape), [0.5, -0.5, rng.uniform(-1, 1, x.shape)])
    return ((x + part * steps) * rng.choice([1.0, 2.0], x.shape)).astype(np.float32)


@engines
def test_bound_calls_write_what_predict_gives(source: EngineSource, name: str) -> None:
    engine = ENGINES[name](source)
    first, second = np.split(central_inputs(source.quantized.contract, 20, seed=0), 2)
    assert engine.name == name
    expected = engine.predict(first)
    x, y = np.ascontiguousarray(second), np.full_like(expected, np.nan)
    call = engine.bind(x, y)
    x[:] = first
    call()
    np.testing.assert_array_equal(y, expected)
    assert expected.shape == (10, 3)


@engines
def test_quantised_engines_agree_and_float_engines_too(source: EngineSource, name: str) -> None:
    x = central_inputs(source.quantized.contract, 200, seed=1)
    engine = ENGINES[name](source)
    if engine.model == "quantized":
        np.testing.assert_array_equal(engine.predict(x), source.quantized.predict(x))
    else:
        np.testing.assert_allclose(engine.predict(x), source.trained.predict(x), atol=1e-5)


@pytest.mark.parametrize("name", [*QUANTIZED, "QuantizedModel.predict", "QuantizedModel.reference"])
@pytest.mark.parametrize("events", [1, 3, 300])
def test_inputs_off_the_grid_are_put_on_it_as_the_contract_says(
    source: EngineSource, name: str, events: int
) -> None:
    quantized = source.quantized
    assert quantized is not None
    own = name.removeprefix("QuantizedModel.")
    predict = ENGINES[name](source).predict if own == name else getattr(quantized, own)
    x = off_grid_inputs(quantized.contract, 300, seed=1)[:events]
    on_grid = quantized.contract.quantize(x)
    assert (on_grid != x).any(axis=1).mean() > 0.9
    given = x.copy()
    np.testing.assert_array_equal(predict(given), quantized.compute(on_grid))
    np.testing.assert_array_equal(given, x)  # the caller's array is left as it is


@pytest.mark.parametrize("name", QUANTIZED)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_no_grid_has_is_refused(source: EngineSource, name: str, bad: float) -> None:
    x = np.zeros((70, 6), np.float32)
    x[69, 5] = bad
    with pytest.raises(DataError, match=r"1 of 420 inputs are NaN or inf"):
        ENGINES[name](source).predict(x)


@pytest.mark.parametrize("number", [2.0**-149, -(2.0**-149), 2.0**-30, -(2.0**-30), 3e38, -0.0])
def test_one_number_off_the_grid_is_seen(source: EngineSource, number: float) -> None:
    """Too small for a product with the scale, or for the range; minus nought lies on the grid."""
    quantized = source.quantized
    assert quantized is not None
    x = central_inputs(quantized.contract, 70, seed=2)
    x[69, :] = number
    expected = quantized.compute(quantized.contract.quantize(x))
    for name in QUANTIZED:
        np.testing.assert_array_equal(ENGINES[name](source).predict(x), expected)


@engines
def test_no_events_give_no_outputs(source: EngineSource, name: str) -> None:
    assert ENGINES[name](source).predict(np.zeros((0, 6), np.float32)).shape == (0, 3)


@engines
@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((2, 5), np.float32), r"float32 \(2, 5\).*takes float32 \(N, 6\)"),
        (np.zeros((6,), np.float32), r"takes float32 \(N, 6\)"),
        (np.zeros((2, 6)), r"float64.*astype\(np.float32\)"),
        ([[0.0] * 6], "inputs are list"),
    ],
)
def test_other_shapes_and_types_are_refused(
    source: EngineSource, name: str, x: Any, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        ENGINES[name](source).predict(x)


@engines
def test_buffers_that_cannot_be_used_in_place_are_refused(source: EngineSource, name: str) -> None:
    engine = ENGINES[name](source)
    x = np.zeros((4, 6), np.float32)
    y = engine.predict(x)
    with pytest.raises(ModelError, match="output buffer"):
        engine.bind(x, y[:3])
    with pytest.raises(ModelError, match="output buffer"):
        engine.bind(x, y.astype(np.float16))
    with pytest.raises(ModelError, match="contiguous"):
        engine.bind(np.zeros((8, 6), np.float32)[::2], y)


@engines
def test_an_engine_without_its_part_says_what_it_needs(name: str) -> None:
    with pytest.raises(ModelError, match="this engine needs"):
        ENGINES[name](EngineSource())


def test_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(RegistryError, match="did you mean 'onnxruntime'"):
        ENGINES["onnxruntim"]


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "missing", "foreign"])
def test_damaged_files_are_refused(source: EngineSource, tmp_path: Path, damage: str) -> None:
    good = (source.export_folder / QUANTIZED_FILE).read_bytes()
    path = tmp_path / QUANTIZED_FILE
    if damage == "foreign":
        path.write_bytes(good.replace(b"input_contract", b"other_contract"))
    elif damage != "missing":
        path.write_bytes({"cut": good[:-200], "garbage": b"\x07" * 99, "empty": b""}[damage])
    with pytest.raises(ArtifactError, match="export"):
        ENGINES["onnxruntime-quantized"](replace(source, export_folder=tmp_path))


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("name", ["native", "native-int"])
def test_without_a_compiler_nothing_else_runs_unless_it_is_named(
    source: EngineSource, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MissingToolError, match=r"^g\+\+ was not found; [^\n]*$"):
        first_engine([name], source)
    assert capsys.readouterr().err == ""
    assert first_engine([name, "onnxruntime", "torch"], source).name == "onnxruntime"
    (said,) = capsys.readouterr().err.splitlines()
    assert f"engine {name} cannot run here" in said and "g++ was not found" in said


@pytest.mark.usefixtures("no_compiler")
def test_the_last_engine_says_why_none_can_run(source: EngineSource) -> None:
    with pytest.raises(MissingToolError, match=r"g\+\+ was not found"):
        first_engine(["native", "native-int"], source)


def test_the_first_that_can_run_is_taken_and_an_unknown_one_is_said(source: EngineSource) -> None:
    assert first_engine(["native-int", "alir"], source).name == "native-int"
    with pytest.raises(RegistryError, match="did you mean 'onnxruntime'"):
        first_engine(["native", "onnxruntim"], source)


def test_a_damaged_file_is_no_reason_to_ask_another_engine(
    source: EngineSource, tmp_path: Path
) -> None:
    (tmp_path / "float.onnx").write_bytes(b"no model")
    with pytest.raises(ArtifactError):
        first_engine(["native", "alir"], replace(source, export_folder=tmp_path))
