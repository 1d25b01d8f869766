"""A float and a quantised network of one contract, exported, and events for them."""

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.export import ExportConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.export.export import export
from triggerforge.export.runtime import EngineSource
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.trained import TrainedModel

CLASSES = ("q", "g", "t")
FORMATS = ("ap_fixed<8,4,RND,SAT>", "ap_ufixed<6,3,TRN,WRAP>", "ap_fixed<9,2,RND,SAT_SYM>")
CONTRACT = InputContract(
    tuple(InputFeature(f"x{i}", "", 0.0, 0, FixedFormat.parse(t)) for i, t in enumerate(FORMATS)),
    (3,),
)


@pytest.fixture(scope="session")
def contract() -> InputContract:
    return CONTRACT


@pytest.fixture(scope="session")
def splits() -> Splits:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3)).astype(np.float32) * 3
    y = random.integers(0, 3, 400)
    events = Dataset(x, y, np.ones(400, np.float32), CONTRACT, CLASSES)
    return Splits(events, events, events)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> EngineSource:
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((3,)), hgq.layers.QDense(3)])
    quantized = QuantizedModel.from_keras(network, CONTRACT, CLASSES)
    torch.manual_seed(0)
    trained = TrainedModel(nn.Linear(3, 3).eval(), CONTRACT, CLASSES, {"class": "none"}, [])
    folder = tmp_path_factory.mktemp("export")
    export(ExportConfig(check_events=20, qonnx=False), trained, quantized, folder)
    return EngineSource(trained, quantized, folder)
