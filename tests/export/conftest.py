"""HGQ2 models with random weights and random formats, one for each kind of layer."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.export import ExportConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.export.engines.native import CompiledRuntime
from triggerforge.export.export import export
from triggerforge.export.float_model import float_onnx
from triggerforge.export.native.build import compiled
from triggerforge.export.native.float_source import write_float_source
from triggerforge.export.runtime import EngineSource
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.trained import TrainedModel

L = hgq.layers
K = keras.layers
CLASSES = ("a", "b", "c")


Mode = tuple[str, str]
FORMATS = ("ap_fixed<8,4,RND,SAT>", "ap_ufixed<6,2,TRN,SAT>", "ap_fixed<7,3,RND_CONV,SAT_SYM>")


def contract(*shape: int) -> InputContract:
    features = tuple(
        InputFeature(f"x{i}", "", 0.0, 0, FixedFormat.parse(FORMATS[i % len(FORMATS)]))
        for i in range(shape[-1])
    )
    return InputContract(features, shape)


class Modes:
    """Quantiser configurations, their modes drawn from those given."""

    def __init__(self, seed: int, modes: tuple[Mode, ...]) -> None:
        self._random = np.random.default_rng(seed)
        self._modes = modes

    def __call__(self, place: str = "datalane", **more: Any) -> Any:
        rounding, overflow = self._modes[self._random.integers(len(self._modes))]
        axes = {"homogeneous_axis": () if place in ("weight", "bias") else (0,)}
        return hgq.quantizer.QuantizerConfig(
            "kif", place, round_mode=rounding, overflow_mode=overflow, **{**axes, **more}
        )

    def layer(self, **more: Any) -> dict[str, Any]:
        """Arguments of a layer with weights."""
        return {"iq_conf": self(), "kq_conf": self("weight"), "bq_conf": self("bias"), **more}


def _mlp(q: Modes) -> Any:
    x = inputs = keras.Input((6,))
    x = L.QDense(8, activation="relu", **q.layer())(x)
    x = L.QDense(8, enable_oq=True, oq_conf=q(), **q.layer())(x)
    x = K.Activation("relu")(x)
    return keras.Model(inputs, L.QDense(3, **q.layer())(x))


def _residual(q: Modes) -> Any:
    x = inputs = keras.Input((6,))
    a = L.QDense(6, activation="relu", **q.layer())(x)
    b = L.QBatchNormDense(6, **q.layer())(a)
    s = L.QAdd(iq_confs=q())([a, b])
    d = L.QSubtract(iq_confs=q())([s, x])
    m = L.QMultiply(iq_confs=q())([d, a])
    high, low = L.QMaximum(iq_confs=q())([m, s]), L.QMinimum(iq_confs=q())([m, s])
    mean = L.QAveragePow2(iq_confs=q())([high, low])
    return keras.Model(inputs, L.QDense(3, **q.layer())(K.Concatenate()([mean, low, a])))


def _particles(q: Modes) -> Any:
    x = inputs = keras.Input((3, 3))
    x = L.QBatchNormalization(**q.layer())(x)
    x = L.QEinsumDense("bnc,cd->bnd", (3, 4), bias_axes="d", activation="relu", **q.layer())(x)
    y = L.QEinsumDense("bnc,nm->bmc", (3, 4), **q.layer())(x)
    z = L.QEinsumDense("bnc,ncd->bnd", (3, 4), bias_axes="nd", **q.layer())(x)
    x = L.QEinsum("bnc,bmc->bnm", iq_confs=q())([y, z])
    x = L.QEinsum("bnm,bmc->bnc", iq_confs=q())([x, y])
    total = L.QSum(axes=1, scale=0.25, iq_conf=q())(x)
    mean = L.QMeanPow2(axes=1, iq_conf=q())(y)
    top = L.QGlobalMaxPooling1D(iq_conf=q())(z)
    return keras.Model(inputs, L.QDense(3, **q.layer())(K.Concatenate()([total, mean, top])))


def _images(q: Modes) -> Any:
    x = inputs = keras.Input((6, 5, 2))
    x = L.QConv2D(2, 3, padding="same", strides=2, activation="relu", **q.layer())(x)
    x = L.QMaxPooling2D(2, padding="same", iq_conf=q())(x)
    x = L.QConv2D(3, 2, dilation_rate=1, **q.layer())(x)
    x = L.QAveragePooling2D((1, 1), iq_conf=q())(x)
    return keras.Model(inputs, L.QDense(3, **q.layer())(K.Flatten()(x)))


def _sequence(q: Modes) -> Any:
    x = inputs = keras.Input((8, 2))
    x = L.QConv1D(3, 3, padding="same", **q.layer())(x)
    x = L.QConv1D(3, 2, dilation_rate=2, activation="relu", **q.layer(kq_conf=q("weight")))(x)
    x = L.QMaxPooling1D(2, iq_conf=q())(x)
    x = L.QAveragePooling1D(2, strides=1, iq_conf=q())(x)
    x = K.Permute((2, 1))(x)
    x = K.Reshape((-1,))(x[:, 1:, ::1])
    return keras.Model(inputs, L.QDense(3, **q.layer())(x))


def _tables(q: Modes) -> Any:
    x = inputs = keras.Input((5,))
    x = L.QUnaryFunctionLUT("tanh", iq_conf=q(), oq_conf=q("table"))(x)
    x = L.QDense(4, **q.layer())(x)
    x = L.QUnaryFunctionLUT("sigmoid", iq_conf=q(), oq_conf=q("table"))(K.ReLU()(x))
    x = L.QDense(3, **q.layer())(x)
    return keras.Model(inputs, x)


def _softmax(q: Modes) -> Any:
    x = inputs = keras.Input((5,))
    x = L.QDense(3, **q.layer())(x)
    tables = {"exp_iq_conf": q(), "inv_iq_conf": q()}
    outs = {"exp_oq_conf": q("table"), "inv_oq_conf": q("table")}
    return keras.Model(inputs, L.QSoftmax(iq_conf=q(), enable_iq=True, **tables, **outs)(x))


def _nested(q: Modes) -> Any:
    inner = keras.Sequential([keras.Input((6,)), L.QDense(5, activation="relu", **q.layer())])
    x = inputs = keras.Input((2, 3))
    x = inner(K.Flatten()(x))
    x = L.Quantizer(q())(K.Dropout(0.5)(x))
    x = K.RepeatVector(2)(x)
    dot = L.QDot(axes=1, iq_confs=q())([x, x])
    return keras.Model(inputs, L.QDense(3, **q.layer())(K.Flatten()(dot)))


ARCHITECTURES: dict[str, Callable[[Modes], Any]] = {
    "mlp": _mlp,
    "residual": _residual,
    "particles": _particles,
    "images": _images,
    "sequence": _sequence,
    "tables": _tables,
    "softmax": _softmax,
    "nested": _nested,
}


def randomize(model: Any, seed: int) -> None:
    """Random weights, and random formats with pruned elements in every quantiser."""
    random = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False):
        if hasattr(layer, "_k") and hasattr(layer, "_f"):
            shape = tuple(layer._k.shape)
            pruned = random.random(shape) < 0.1
            integer = random.integers(0, 4, shape)
            fraction = random.integers(0, 5, shape)
            layer._i.assign(integer)
            layer._f.assign(np.where(pruned, -integer - 1, fraction))
            layer._k.assign(random.random(shape) < 0.8)
    for weight in model.trainable_variables:
        if weight.name in ("kernel", "bias", "bn_gamma", "bn_beta"):
            weight.assign(random.normal(size=weight.shape) * 1.5)


@pytest.fixture(scope="session")
def random_model() -> Callable[..., QuantizedModel]:
    """Makes a random model: (architecture, modes, seed) → QuantizedModel."""

    @cache
    def make(architecture: str, modes: tuple[Mode, ...], seed: int) -> QuantizedModel:
        model = random_keras(architecture, modes, seed)
        return QuantizedModel.from_keras(model, contract(*model.input_shape[1:]), CLASSES)

    return make


def random_keras(architecture: str, modes: tuple[Mode, ...], seed: int) -> Any:
    """A random HGQ2 model."""
    keras.utils.set_random_seed(seed)
    model = ARCHITECTURES[architecture](Modes(seed, modes))
    randomize(model, seed)
    return model


@pytest.fixture(scope="session")
def make_keras() -> Callable[..., Any]:
    """`random_keras`, for tests that want the Keras model only."""
    return random_keras


@pytest.fixture(scope="session")
def make_contract() -> Callable[..., InputContract]:
    """`contract`: an input contract for events of a shape."""
    return contract


@pytest.fixture(scope="session")
def source(
    random_model: Callable[..., QuantizedModel], tmp_path_factory: pytest.TempPathFactory
) -> EngineSource:
    """A float and a quantised network of one contract, and their exported files."""
    quantized = random_model("mlp", (("RND", "SAT"),), 1)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    trained = TrainedModel(module, quantized.contract, CLASSES, {"class": "none"}, [])
    folder = tmp_path_factory.mktemp("export")
    export(ExportConfig(check_events=100), trained, quantized, folder)
    return EngineSource(trained, quantized, folder)


def native_float(module: nn.Module, inputs: InputContract, outputs: int) -> CompiledRuntime:
    """The native float engine of a torch module, as the exporter hands it over."""
    names = tuple(f"o{i}" for i in range(outputs))
    trained = TrainedModel(module.eval(), inputs, names, {"class": "none"}, [])
    library = compiled(write_float_source(float_onnx(trained)))
    return CompiledRuntime("native", "float", inputs.shape, outputs, np.float32, library)


@pytest.fixture(scope="session")
def make_native_float() -> Callable[..., CompiledRuntime]:
    """`native_float`, for the tests of that engine."""
    return native_float
