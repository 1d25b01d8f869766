"""Layers without quantisers are found by name, wherever they stand."""

from typing import Any

import pytest
import torch
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.every_layer import float_layers, require_quantised
from triggerforge.compression.lowering import lower
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ModelError
from triggerforge.fixedpoint import FixedFormat

_L = keras.layers


def _dense(units: int, **options: Any) -> Any:
    return hgq.layers.QDense(units, **options)


def _model(*layers: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), *layers])
    return model


FLOAT = {
    "dense": (lambda: _L.Dense(2, name="bad"), "weights"),
    "batchnorm": (lambda: _L.BatchNormalization(name="bad"), "weights"),
    "leaky relu": (lambda: _L.LeakyReLU(name="bad"), "function"),
    "softmax": (lambda: _L.Softmax(name="bad"), "function"),
    "tanh": (lambda: _L.Activation("tanh", name="bad"), "tanh"),
    "relu with a slope": (lambda: _L.ReLU(negative_slope=0.1, name="bad"), "slope"),
    "layer normalisation": (lambda: _L.LayerNormalization(name="bad"), "weights"),
    "rescaling": (lambda: _L.Rescaling(0.1, name="bad"), "function"),
    "unquantised kernel": (
        lambda: _dense(2, kq_conf=hgq.config.QuantizerConfig("dummy"), name="bad"),
        "kernel",
    ),
    "unquantised bias": (
        lambda: _dense(2, bq_conf=hgq.config.QuantizerConfig("dummy"), name="bad"),
        "bias",
    ),
    "activation inside": (lambda: _dense(2, activation="sigmoid", name="bad"), "sigmoid"),
    "table without output quantiser": (
        lambda: hgq.layers.QUnaryFunctionLUT("tanh", enable_oq=False, name="bad"),
        "table",
    ),
}


@pytest.mark.parametrize("case", FLOAT)
def test_a_float_layer_is_found_by_its_name(case: str) -> None:
    make, why = FLOAT[case]
    model = _model(_dense(3, activation="relu"), make(), _dense(2))
    (found,) = float_layers(model)
    assert found.name == "bad" and why in found.why
    with pytest.raises(ModelError, match=r"1 of the model's layers .*: bad \("):
        require_quantised(model)


def test_a_float_layer_inside_a_model_inside() -> None:
    inner = keras.Sequential([keras.Input((3,)), _L.Dense(3, name="bad")], name="trunk")
    assert [f.name for f in float_layers(_model(_dense(3), inner, _dense(2)))] == ["trunk/bad"]


def test_an_operation_of_keras_that_is_a_function() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, keras.ops.exp(_dense(2)(x)))
    assert [f.kind for f in float_layers(model)] == ["Exp"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: _dense(2, activation="relu"),
        lambda: hgq.layers.QBatchNormalization(),
        lambda: hgq.layers.QUnaryFunctionLUT("tanh"),
        lambda: hgq.layers.QSoftmax(),
        lambda: hgq.layers.QDenseT(2),
        lambda: hgq.quantizer.Quantizer(),
        lambda: _L.ReLU(),
        lambda: _L.Dropout(0.5),
        lambda: _L.Reshape((2, 2)),
    ],
)
def test_what_stays_on_a_grid_is_no_float_layer(make: Any) -> None:
    require_quantised(_model(make()))


def test_a_mean_over_no_power_of_two_has_no_grid() -> None:
    x = keras.Input((12, 2))
    for size, found in ((4, []), (3, ["AveragePooling1D"])):
        model = keras.Model(x, _L.AveragePooling1D(size)(x))
        assert [f.kind for f in float_layers(model)] == found


def test_our_own_twins_have_quantisers_everywhere() -> None:
    """Wires, sums and tables are in it; without quantisers every layer with weights is named."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.tanh(self.a(x)) * x[..., -1:]
            out: torch.Tensor = self.b(torch.softmax(y.sum(1), dim=-1))
            return out

    fmt = FixedFormat.parse("ap_fixed<8,3,RND,SAT>")
    contract = InputContract(tuple(InputFeature(n, "", 0, 0, fmt) for n in "abc"), (4, 3))
    require_quantised(lower(Network(), contract, QuantizationScheme()))
    kinds = {f.kind for f in float_layers(lower(Network(), contract))}
    assert {"QDense", "Softmax", "Activation"} <= kinds
