"""Runtimes are tuned with numbers that every port has."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression import ptq
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.export.engines.onnxruntime import OnnxRuntime
from triggerforge.export.files import write_onnx
from triggerforge.export.quantized import quantized_onnx
from triggerforge.fixedpoint import FixedFormat


@pytest.mark.parametrize("text", ["ap_fixed<8,-2,RND,SAT>", "ap_ufixed<4,7,RND,SAT>"])
def test_more_events_than_one_block_of_a_table_network(text: str, tmp_path: Path) -> None:
    """A table has no entry for 1, which neither format has."""
    features = (InputFeature(f"x{i}", "", 0.0, 0, FixedFormat.parse(text)) for i in range(2))
    contract = InputContract(tuple(features), (2,))
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)).eval()
    x = corner_inputs(contract, 59, seed=1)
    model = QuantizedModel.from_keras(ptq.uniform(module, contract, x), contract, ("a", "b"))
    write_onnx(quantized_onnx(model), tmp_path / "q.onnx")
    engine = OnnxRuntime("onnxruntime-quantized", "quantized", tmp_path / "q.onnx")
    assert len(x) == 65
    np.testing.assert_array_equal(engine.predict(x), model.reference(x))
