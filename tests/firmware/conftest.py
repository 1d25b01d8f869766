"""A small quantised network for every test of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.firmware.build import build
from triggerforge.fixedpoint import FixedFormat


def tiny_model(inputs: int = 3, outputs: int = 2) -> QuantizedModel:
    """`inputs`-4-`outputs`, with formats that differ from input to input."""
    text = ["ap_fixed<6,3,RND,SAT>", "ap_ufixed<4,2,RND,SAT>", "ap_fixed<8,2,RND,SAT>"]
    formats = [FixedFormat.parse(text[i % 3]) for i in range(inputs)]
    features = tuple(InputFeature(f"in{i}", "", 0.0, 0, fmt) for i, fmt in enumerate(formats))
    contract = InputContract(features, (inputs,))
    keras.utils.set_random_seed(3)
    datalane = {"default_q_type": "kif", "overflow_mode": "SAT", "i0": 3, "f0": 3}
    with (
        hgq.config.QuantizerConfigScope(place="all", default_q_type="kbi"),
        hgq.config.QuantizerConfigScope(place="datalane", **datalane),
        hgq.config.LayerConfigScope(enable_ebops=True),
    ):
        given = keras.Input((inputs,), name="x")
        hidden = hgq.layers.QDense(4, activation="relu", name="hidden")(given)
        model = keras.Model(given, hgq.layers.QDense(outputs, name="out")(hidden))
    return QuantizedModel.from_keras(model, contract, tuple(f"class{i}" for i in range(outputs)))


@pytest.fixture(scope="session")
def quantized() -> QuantizedModel:
    """The small network."""
    return tiny_model()


@pytest.fixture
def random_bits(quantized: QuantizedModel) -> Callable[[int], NDArray[np.float32]]:
    """Makes corner inputs and `events` of random bits, on the grid of the network's inputs."""
    return lambda events: corner_inputs(quantized.contract, events, seed=5)


@pytest.fixture
def config() -> FirmwareConfig:
    """The default configuration with small test benches."""
    return FirmwareConfig(vectors=40)


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine without any external tool, and without the wheels that carry one."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr("triggerforge.tools.find_spec", lambda name: None)
    yield


@pytest.fixture(scope="session")
def built(quantized: QuantizedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole stage, built in one folder and then moved to another, as the pipeline does."""
    partial = tmp_path_factory.mktemp("run") / ".firmware.partial"
    partial.mkdir()
    build(FirmwareConfig(vectors=40), quantized, partial)
    return partial.rename(partial.with_name("firmware"))
