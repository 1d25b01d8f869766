"""The runtimes of others give torch's numbers in float64, for every network and number of events."""

import gc
import importlib
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

from triggerforge import packages
from triggerforge.data.contract import InputContract
from triggerforge.errors import MissingToolError, ModelError
from triggerforge.export.engines.fixed import FixedBatchRuntime
from triggerforge.export.files import FLOAT_FILE, write_onnx
from triggerforge.export.float_model import float_onnx
from triggerforge.export.runtime import ENGINES, EngineSource
from triggerforge.training.models.registry import MODELS
from triggerforge.training.trained import TrainedModel

TOLERANCE = 1e-5
"""largest difference, in units of the largest output"""
NAMES = ("onnxruntime", "openvino", "litert")
NETWORKS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "mlp": ((16,), {"n_classes": 5, "batchnorm": True}),
    "deepsets": ((8, 16), {"n_classes": 5}),
    "autoencoder": ((57,), {}),
    "vae": ((57,), {"score": "kl"}),
    "cnn": ((16, 24, 2), {"n_classes": 5}),
    "jedi_linear": ((8, 3), {"n_classes": 5, "width": 12, "head": (8,)}),
}
engines = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def sources(
    make_contract: Callable[..., InputContract], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, EngineSource]:
    """Every network, with random weights and statistics of its batch norms, exported."""
    made = {}
    for name, (shape, arguments) in NETWORKS.items():
        torch.manual_seed(1)
        contract = make_contract(*shape)
        module = MODELS[name](contract, **arguments)
        with torch.no_grad():
            module.train()(torch.randn(64, *shape))
            outputs = module.eval()(torch.zeros(1, *shape)).shape[1]
        names = tuple(f"o{i}" for i in range(outputs))
        trained = TrainedModel(module, contract, names, {"class": "none"}, [])
        folder = tmp_path_factory.mktemp(name)
        write_onnx(float_onnx(trained), folder / FLOAT_FILE)
        made[name] = EngineSource(trained, None, folder)
    return made


@pytest.fixture(scope="module")
def mlps(sources: Mapping[str, EngineSource]) -> Mapping[str, FixedBatchRuntime]:
    """Each engine with the MLP."""
    return {name: ENGINES[name](sources["mlp"]) for name in NAMES}


def inputs(shape: tuple[int, ...], events: int) -> Any:
    return np.random.default_rng(events).normal(size=(events, *shape)).astype(np.float32)


def in_float64(module: torch.nn.Module, x: Any) -> Any:
    with torch.no_grad():
        y = module.double()(torch.from_numpy(x).double()).numpy()
    module.float()
    return y


def require_close(got: Any, expected: Any) -> None:
    assert got.shape == expected.shape and got.dtype == np.float32
    assert np.abs(got - expected).max(initial=0) <= TOLERANCE * np.abs(expected).max(initial=0)


@engines
@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_are_those_of_torch_in_float64(
    sources: Mapping[str, EngineSource], name: str, network: str
) -> None:
    source = sources[network]
    engine = ENGINES[name](source)
    assert (engine.name, engine.model) == (name, "float")
    for events in (1, 7, 1024, 0):
        x = inputs(source.trained.contract.shape, events)
        expected = in_float64(source.trained.module, x)
        require_close(engine.predict(x), expected)
        y = np.full_like(expected, np.nan, np.float32)
        engine.bind(x, y)()
        require_close(y, expected)


@engines
def test_blocks_cover_every_event(
    sources: Mapping[str, EngineSource], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FixedBatchRuntime, "blocks", (96,))
    engine = ENGINES[name](sources["mlp"])
    for events in (96, 97, 250, 288):
        x = inputs((16,), events)
        expected = in_float64(sources["mlp"].trained.module, x)
        require_close(engine.predict(x), expected)
        y = np.full_like(expected, np.nan, np.float32)
        engine.bind(x, y)()
        require_close(y, expected)


@engines
def test_two_bound_calls_do_not_disturb_each_other(
    mlps: Mapping[str, FixedBatchRuntime], name: str
) -> None:
    engine = mlps[name]
    pairs = [(inputs((16,), 4), np.zeros((4, 5), np.float32)) for _ in range(2)]
    calls = [engine.bind(x, y) for x, y in pairs]
    pairs[1][0][:] += 1
    expected = [engine.predict(x) for x, _ in pairs]
    for call in (*calls, *calls[::-1]):
        call()
    for (_, y), wanted in zip(pairs, expected, strict=True):
        np.testing.assert_array_equal(y, wanted)


@engines
def test_sizes_that_are_forgotten_are_made_anew(
    mlps: Mapping[str, FixedBatchRuntime], name: str
) -> None:
    engine = mlps[name]
    x = inputs((16,), 20)
    first = engine.predict(x[:1])
    call = engine.bind(x[:1], kept := np.zeros((1, 5), np.float32))
    for events in range(2, 15):
        assert engine.predict(x[:events]).shape == (events, 5)
    call()
    np.testing.assert_array_equal(kept, first)
    np.testing.assert_array_equal(engine.predict(x[:1]), first)


@engines
@pytest.mark.parametrize("events", [3, 200])
def test_bound_arrays_live_as_long_as_the_call(
    mlps: Mapping[str, FixedBatchRuntime], name: str, events: int
) -> None:
    x, y = inputs((16,), events), np.zeros((events, 5), np.float32)
    expected = mlps[name].predict(x)
    result = y[:]
    held = weakref.ref(x), weakref.ref(y)
    call = mlps[name].bind(x, y)
    del x, y
    gc.collect()
    call()
    np.testing.assert_array_equal(result, expected)
    del call, result
    gc.collect()
    assert [ref() for ref in held] == [None, None]


@engines
def test_arrays_that_cannot_be_used_in_place(
    mlps: Mapping[str, FixedBatchRuntime], name: str
) -> None:
    x, y = inputs((16,), 4), np.zeros((4, 5), np.float32)
    frozen = y.copy()
    frozen.flags.writeable = False
    odd = np.zeros(4 * 16 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(4, 16)
    for bad_x, bad_y, said in (
        (x, frozen, "can be written"),
        (odd, y, "aligned"),
        (inputs((16,), 8)[::2], y, "contiguous"),
        (x, np.zeros((4, 10), np.float32)[:, ::2], "contiguous"),
        (x, y.astype(np.float64), "output buffer is float64"),
        (x.astype(np.float64), y, "inputs are float64"),
        (x[:3], y, "output buffer"),
    ):
        with pytest.raises(ModelError, match=said):
            mlps[name].bind(bad_x, bad_y)


@engines
def test_other_arrays_are_read_all_the_same(
    mlps: Mapping[str, FixedBatchRuntime], name: str
) -> None:
    engine = mlps[name]
    x = inputs((16,), 4)
    expected = engine.predict(x)
    odd = np.zeros(4 * 16 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(4, 16)
    odd[:] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    spread = np.repeat(x, 2, axis=0)[::2]
    for same in (odd, frozen, spread, np.asfortranarray(x)):
        np.testing.assert_array_equal(engine.predict(same), expected)
    y = np.zeros_like(expected)
    engine.bind(frozen, y)()
    np.testing.assert_array_equal(y, expected)


@engines
@pytest.mark.parametrize("events", [1, 16, 300])
def test_nan_stays_with_its_event(
    mlps: Mapping[str, FixedBatchRuntime], name: str, events: int
) -> None:
    x = inputs((16,), events)
    x[0, 3] = np.nan
    got = mlps[name].predict(x)
    assert np.isfinite(got[1:]).all()
    if name == "openvino":  # its ReLU makes 0 of NaN, against IEEE 754; docs/export.md says so
        assert np.isfinite(got[0]).all()
    else:
        assert np.isnan(got[0]).all()


@pytest.mark.usefixtures("mlps")
def test_openvino_tells_nobody_that_it_is_used() -> None:
    told = importlib.import_module("openvino.tools.ovc.telemetry_utils")
    assert told.tm.__name__ == "openvino.tools.ovc.telemetry_stub"


@pytest.mark.parametrize(
    ("name", "package"), [("openvino", "openvino"), ("litert", "ai-edge-litert")]
)
def test_a_missing_package_is_named(
    sources: Mapping[str, EngineSource],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    package: str,
) -> None:
    def missing(module: str) -> Any:
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(packages, "import_module", missing)
    with pytest.raises(MissingToolError, match=f"{package} cannot be imported.*pip install"):
        ENGINES[name](sources["mlp"])


PROVIDERS = {
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_that_onnxruntime_lacks_is_named(
    sources: Mapping[str, EngineSource], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    said = f"{name}: .*without {PROVIDERS[name]} .*has CPUExecutionProvider.*onnxruntime-gpu"
    with pytest.raises(MissingToolError, match=said):
        ENGINES[name](sources["mlp"])


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_that_does_not_start_is_not_replaced_by_the_cpu(
    sources: Mapping[str, EngineSource], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given: dict[str, Any] = {}

    class OnTheCpu:
        def __init__(self, model: bytes, options: Any, **more: Any) -> None:
            given.update(more)

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setattr(ort, "get_available_providers", PROVIDERS.values)
    monkeypatch.setattr(ort, "InferenceSession", OnTheCpu)
    with pytest.raises(MissingToolError, match=f"cannot start its {PROVIDERS[name]}"):
        ENGINES[name](sources["mlp"])
    settings = dict(zip(given["providers"], given["provider_options"], strict=True))
    assert settings["CUDAExecutionProvider"] == {"use_tf32": "0"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_gpu_outputs_are_those_of_torch(sources: Mapping[str, EngineSource], name: str) -> None:
    if PROVIDERS[name] not in ort.get_available_providers():
        pytest.skip(f"this onnxruntime was built without {PROVIDERS[name]}")
    source = sources["deepsets"]
    x = inputs(source.trained.contract.shape, 300)
    require_close(ENGINES[name](source).predict(x), in_float64(source.trained.module, x))


def test_float_files_of_nobody(tmp_path: Path) -> None:
    for name in (*NAMES, "torch-compile"):
        with pytest.raises(ModelError, match="this engine needs"):
            ENGINES[name](EngineSource(export_folder=tmp_path))
