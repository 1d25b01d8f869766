"""Quantisers that leave an input few bits or none: the C simulation gives the model's numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.firmware.csim import CSimulation
from triggerforge.firmware.hls import compile_project, write_project
from triggerforge.fixedpoint import FixedFormat
from triggerforge.tools import require

Formats = tuple[tuple[int, int, int], ...]


def quantizer(sign: int, overflow: str) -> Any:
    return hgq.config.QuantizerConfig(
        "kif", "datalane", k0=sign, i0=3, f0=3, round_mode="RND", overflow_mode=overflow,
        heterogeneous_axis=(1,), homogeneous_axis=None,
    )  # fmt: skip


def give(layer: Any, formats: Formats) -> None:
    """Sets sign, integer and fraction bits of the quantiser of each input."""
    inner = layer.iq.quantizer
    for variable, values in zip(
        (inner._k, inner._i, inner._f), zip(*formats, strict=True), strict=True
    ):
        variable.assign(np.reshape(values, (1, -1)))


def model(sign: int, overflow: str, formats: Formats, behind: bool) -> QuantizedModel:
    """Three inputs of ap_fixed<8,4> into quantisers of these formats; `behind` a first layer or not."""
    fmt = FixedFormat.parse("ap_fixed<8,4>")
    contract = InputContract(tuple(InputFeature(f"in{i}", "", 0.0, 0, fmt) for i in range(3)), (3,))
    keras.utils.set_random_seed(1)
    kernel = hgq.config.QuantizerConfig("kbi", "weight", b0=4, i0=1)
    given = keras.Input((3,), name="x")
    first = given
    if behind:
        port = hgq.config.QuantizerConfig("kif", "datalane", i0=3, f0=4, overflow_mode="SAT")
        first = hgq.layers.QDense(
            3, iq_conf=port, kq_conf=kernel, kernel_initializer="identity", name="first"
        )(given)
    layer = hgq.layers.QDense(2, iq_conf=quantizer(sign, overflow), kq_conf=kernel, name="narrow")
    made = keras.Model(given, layer(first))
    give(layer, formats)
    return QuantizedModel.from_keras(made, contract, ("a", "b"))


@pytest.mark.parametrize(
    ("sign", "overflow", "formats", "behind"),
    [
        (0, "WRAP", ((0, 7, -5), (0, 3, 2), (0, 4, 1)), False),
        (1, "SAT", ((1, 7, -5),) * 3, False),
        (0, "WRAP", ((0, 9, -7), (0, 3, 2), (0, 4, -3)), True),
    ],
    ids=["one input pruned", "all inputs pruned", "inside"],
)
def test_an_input_below_half_a_step_is_zero(
    sign: int, overflow: str, formats: Formats, behind: bool, config: FirmwareConfig, tmp_path: Path
) -> None:
    quantized = model(sign, overflow, formats, behind)
    x = corner_inputs(quantized.contract, 100, 1)
    expected = quantized.predict(x)
    write_project(config, quantized, x, expected, tmp_path)
    compile_project(config, quantized, require("g++"), tmp_path)
    np.testing.assert_array_equal(CSimulation(tmp_path).predict(x), expected)
    assert (len(np.unique(expected)) > 1) == (len(set(formats)) > 1)
