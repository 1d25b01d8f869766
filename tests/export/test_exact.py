"""The quantised ONNX and the native engine give the fixed-point graph's numbers, bit for bit."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import QuantizedModel, trace_keras
from triggerforge.compression.reference import predict_exact
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.check import run_qonnx
from triggerforge.export.engines.native_int import NativeIntRuntime
from triggerforge.export.engines.onnxruntime import session
from triggerforge.export.lowering import Lowering
from triggerforge.export.probe import central_inputs, random_port_inputs
from triggerforge.export.qonnx import QonnxLowering
from triggerforge.export.quantized import qonnx_model, quantized_onnx
from triggerforge.export.walk import write_graph
from triggerforge.fixedpoint import FixedFormat, Overflow

L = hgq.layers
MODES = tuple(product(("TRN", "RND", "RND_CONV"), ("WRAP", "SAT", "SAT_SYM")))
OTHERS = ("residual", "particles", "images", "sequence", "tables", "softmax", "nested")
CASES = [("mlp", (mode,), seed) for seed, mode in enumerate(MODES)]
CASES += [(name, MODES, 1) for name in OTHERS]


def inputs(contract: InputContract, events: int = 1000) -> Any:
    """Every bit of the port random (so the quantisers overflow), and as normalised data are."""
    makers = (random_port_inputs, central_inputs)
    return np.concatenate([make(contract, events, seed=3) for make in makers])


@pytest.mark.parametrize(("architecture", "modes", "seed"), CASES)
def test_onnxruntime_and_native_equal_alir_and_keras(
    random_model: Callable[..., QuantizedModel], architecture: str, modes: Any, seed: int
) -> None:
    quantized = random_model(architecture, modes, seed)
    x = inputs(quantized.contract)
    expected = quantized.predict(x)
    assert len(np.unique(expected)) > 2, "a model of constants shows nothing"
    model = quantized_onnx(quantized)
    assert {node.domain for node in model.graph.node} == {""}
    np.testing.assert_array_equal(session(model).run(None, {"x": x})[0], expected)
    np.testing.assert_array_equal(NativeIntRuntime(quantized).predict(x), expected)
    np.testing.assert_array_equal(predict_exact(quantized.keras_model(), x), expected)


@pytest.mark.parametrize(("architecture", "modes", "seed"), CASES[:3] + CASES[9:])
def test_qonnx_execution_equals_alir(
    random_model: Callable[..., QuantizedModel], architecture: str, modes: Any, seed: int
) -> None:
    quantized = random_model(architecture, modes, seed)
    x = inputs(quantized.contract, 50)
    model, helped = qonnx_model(quantized)
    assert sum(node.op_type == "Quant" for node in model.graph.node) >= 3
    assert all(entry["reasons"] for entry in helped)
    np.testing.assert_array_equal(run_qonnx(model, x), quantized.predict(x))


@pytest.mark.parametrize("architecture", ["mlp", *OTHERS])
def test_onnxruntime_equals_keras_in_all_modes(
    make_keras: Callable[..., Any],
    make_contract: Callable[..., InputContract],
    architecture: str,
) -> None:
    model = make_keras(architecture, MODES, seed=3)
    contract = make_contract(*model.input_shape[1:])
    x = inputs(contract)
    got = session(write_graph(Lowering(), model, contract, {})).run(None, {"x": x})[0]
    np.testing.assert_array_equal(got, predict_exact(model, x))


@pytest.mark.parametrize("overflow", [Overflow.SAT, Overflow.SAT_SYM])
@pytest.mark.parametrize("biases", [(-4.0, -4.0), (4.0, 4.0), (-4.0, 4.0), (-4.0, 0.0), (4.0, 0.0)])
def test_elements_that_always_saturate(overflow: Overflow, biases: tuple[float, float]) -> None:
    contract = InputContract(
        tuple(
            InputFeature(n, "", 0.0, 0, FixedFormat.parse("ap_fixed<4,1,RND,SAT>")) for n in "ab"
        ),
        (2,),
    )
    first, second = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        first.weight.fill_(0.25)
        first.bias.copy_(torch.tensor(biases))
        second.weight.copy_(torch.tensor([[1.0, 0.5], [-0.5, 1.0]]))
    scheme = QuantizationScheme(
        activation_integers=0, activation_fraction=3, activation_overflow=overflow
    )
    model = lower(nn.Sequential(first, second), contract, scheme)
    quantized = QuantizedModel.from_keras(model, contract, ("a", "b"))
    x = random_port_inputs(contract, 200, seed=3)
    got = session(quantized_onnx(quantized)).run(None, {"x": x})[0]
    np.testing.assert_array_equal(got, quantized.predict(x))


def wide(place: str, integer: int, fraction: int, overflow: str = "SAT", **more: Any) -> Any:
    axes = {"homogeneous_axis": None, "heterogeneous_axis": ()}
    return hgq.quantizer.QuantizerConfig(
        "kif", place, k0=1, i0=integer, f0=fraction, overflow_mode=overflow, **axes, **more
    )


def wide_model(kind: str, overflow: str) -> Any:
    """Sums of about 34 bits, more than float32 holds."""
    options = {
        "iq_conf": wide("datalane", 3, 12),
        "kq_conf": wide("weight", 3, 14),
        "bq_conf": wide("bias", 3, 20),
        "enable_oq": True,
        "oq_conf": wide("datalane", 3, 9, overflow),
        "bias_initializer": "normal",
    }
    keras.utils.set_random_seed(0)
    if kind == "dense":
        layers = [keras.Input((6,)), L.QDense(5, activation="relu", **options)]
    elif kind == "einsum":
        layers = [
            keras.Input((4, 6)),
            L.QEinsumDense("bnc,nm->bmc", (3, 6), bias_axes="c", **options),
        ]
    else:
        layers = [keras.Input((5, 5, 2)), L.QConv2D(3, 3, padding="same", strides=2, **options)]
    return keras.Sequential([*layers, keras.layers.Flatten()])


@pytest.mark.parametrize("overflow", ["WRAP", "SAT"])
@pytest.mark.parametrize("kind", ["dense", "einsum", "conv"])
@pytest.mark.parametrize("lowering", [Lowering, QonnxLowering])
def test_sums_wider_than_float32_stay_exact(
    kind: str, overflow: str, lowering: type[Lowering]
) -> None:
    model = wide_model(kind, overflow)
    contract = wide_contract(*model.input_shape[1:])
    x = inputs(contract, 20)
    graph = write_graph(lowering(), model, contract, {}, batch=1)
    expected = trace_keras(model, contract).predict(x.reshape(len(x), -1).astype(np.float64))
    run = run_qonnx if lowering is QonnxLowering else _run_onnxruntime
    assert any(node.op_type == "Cast" for node in graph.graph.node)
    np.testing.assert_array_equal(run(graph, x), expected.reshape(len(x), -1))


def _run_onnxruntime(model: Any, x: Any) -> Any:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    return session(model).run(None, {"x": x})[0]


def test_sums_wider_than_float64_are_refused() -> None:
    lane = {"iq_conf": wide("datalane", 3, 40), "kq_conf": wide("weight", 3, 24)}
    kernel = keras.initializers.Constant(7.0 + 2.0**-20)
    layers = [L.QDense(n, **lane, kernel_initializer=kernel) for n in (5, 3)]
    model = keras.Sequential([keras.Input((6,)), *layers])
    with pytest.raises(UnsupportedOperationError, match=r"QDense\).*do not fit the 53 bits"):
        write_graph(Lowering(), model, wide_contract(6), {})


def wide_contract(*shape: int) -> InputContract:
    feature = InputFeature("x", "", 0.0, 0, FixedFormat.parse("ap_fixed<16,4,RND,SAT>"))
    return InputContract((feature,) * shape[-1], shape)
