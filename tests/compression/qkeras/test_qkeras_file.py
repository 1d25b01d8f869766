"""QKeras files made by QKeras 0.9 itself come back with the same bits; others are refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import Any

import h5py
import numpy as np
import pytest

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.qkeras_file import read_qkeras
from triggerforge.compression.qkeras_quantizer import parse_quantizer
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ArtifactError, ModelError, UnsupportedOperationError
from triggerforge.fixedpoint import FixedFormat

HERE = Path(__file__).parent
PORT = FixedFormat.parse("ap_fixed<8,4,RND,SAT>")


def contract(*shape: int) -> InputContract:
    features = tuple(InputFeature(f"x{i}", "1", 0.0, 0, PORT) for i in range(shape[-1]))
    return InputContract(features, shape)


CASES = [("mlp", (6,), ("a", "b", "c")), ("cnn", (6, 6, 1), ("a", "b"))]


@pytest.mark.parametrize(("name", "shape", "classes"), CASES)
def test_the_bits_are_those_of_qkeras(
    name: str, shape: tuple[int, ...], classes: tuple[str, ...]
) -> None:
    model = read_qkeras(HERE / f"{name}.h5", contract(*shape))
    quantized = QuantizedModel.from_keras(model, contract(*shape), classes)
    with np.load(HERE / f"{name}.npz") as expected:
        assert len(np.unique(expected["y"])) > 20
        np.testing.assert_array_equal(quantized.predict(expected["x"]), expected["y"])
    assert quantized.ebops > 0


@pytest.mark.parametrize(("name", "shape", "classes"), CASES)
def test_every_end_is_that_of_qkeras(
    name: str, shape: tuple[int, ...], classes: tuple[str, ...]
) -> None:
    """make_ends.py drove inputs to the ends of their range, where every quantiser saturates."""
    model = read_qkeras(HERE / f"{name}.h5", contract(*shape))
    quantized = QuantizedModel.from_keras(model, contract(*shape), classes)
    with np.load(HERE / "ends.npz") as ends:
        x, y = ends[f"{name}_x"], ends[f"{name}_y"]
    np.testing.assert_array_equal(quantized.predict(x), y)
    for layer in model.layers:
        if isinstance(layer, hgq.quantizer.Quantizer):
            k, i, f = (int(np.max(v)) for v in layer.quantizer.kif)
            values = np.asarray(keras.Model(model.inputs[0], layer.output)(x))
            assert values.max() == 2.0**i - 2.0**-f and (not k or values.min() < -(2.0**i) / 2)


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ("quantized_bits(6,0,alpha=1)", "ap_fixed<6,1,RND_CONV,SAT>"),
        ("quantized_bits(6,2,1,alpha=1.0)", "ap_fixed<6,3,RND_CONV,SAT_SYM>"),
        ("quantized_bits(4,1,0,0,1)", "ap_ufixed<4,1,RND_CONV,SAT>"),
        ("quantized_relu(4,2)", "ap_ufixed<4,2,RND_CONV,SAT>"),
        ("quantized_relu(bits=3)", "ap_ufixed<3,0,RND_CONV,SAT>"),
    ],
)
def test_quantizers_have_their_formats(text: str, format_: str) -> None:
    assert parse_quantizer(text, "layer")[1] == FixedFormat.parse(format_)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("binary()", UnsupportedOperationError),
        ("ternary", UnsupportedOperationError),
        ("quantized_bits(4,0,alpha='auto_po2')", UnsupportedOperationError),
        ("quantized_bits(1,0,alpha=1)", UnsupportedOperationError),
        ("quantized_relu(4,2,negative_slope=0.25)", UnsupportedOperationError),
        ("quantized_bits(__import__('os').system('true'))", ModelError),
        ("quantized_bits(4", UnsupportedOperationError),
        (None, UnsupportedOperationError),
    ],
)
def test_other_quantizers_are_refused(spec: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="fc1"):
        parse_quantizer(spec, "model.h5: fc1")


def edited(tmp_path: Path, edit: Callable[[list[dict[str, Any]]], None]) -> Path:
    """mlp.h5 with other layers; the last one is the output."""
    path = tmp_path / "edited.h5"
    copy(HERE / "mlp.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layers = config["config"]["layers"]
        edit(layers)
        config["config"]["output_layers"] = [[layers[-1]["config"]["name"], 0, 0]]
        file.attrs["model_config"] = json.dumps(config)
    return path


def _softmax(layers: list[dict[str, Any]]) -> None:
    layers.append(behind("fc3", "Activation", "softmax"))


def behind(before: str, kind: str, activation: str) -> dict[str, Any]:
    """The record of one more layer."""
    config = {"name": f"after_{before}", "activation": activation}
    return {"class_name": kind, "config": config, "inbound_nodes": [[[before, 0, 0, {}]]]}


def test_a_last_softmax_is_left_out(tmp_path: Path) -> None:
    model = read_qkeras(edited(tmp_path, _softmax), contract(6))
    with np.load(HERE / "mlp.npz") as expected:
        np.testing.assert_array_equal(model.predict(expected["x"], verbose=0), expected["y"])


def _lstm(layers: list[dict[str, Any]]) -> None:
    layers[2]["class_name"] = "LSTM"


def _branch(layers: list[dict[str, Any]]) -> None:
    layers[3]["inbound_nodes"] = [[["fc1", 0, 0, {}]]]


def test_a_softmax_inside_the_last_layer_leaves_the_layer(tmp_path: Path) -> None:
    def inside(layers: list[dict[str, Any]]) -> None:
        layers[-1]["config"]["activation"] = "softmax"

    model = read_qkeras(edited(tmp_path, inside), contract(6))
    with np.load(HERE / "mlp.npz") as expected:
        np.testing.assert_array_equal(model.predict(expected["x"], verbose=0), expected["y"])


def _inner_tanh(layers: list[dict[str, Any]]) -> None:
    layers[1]["config"]["activation"] = "tanh"


def _unquantised(layers: list[dict[str, Any]]) -> None:
    del layers[2]
    layers[2]["inbound_nodes"] = [[["fc1", 0, 0, {}]]]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_lstm, "layer 'LSTM'"),
        (_branch, "only a chain"),
        (_inner_tanh, "activation 'tanh'"),
        (_unquantised, "not quantised"),
    ],
)
def test_an_unsupported_layer_is_named(
    edit: Callable[[list[dict[str, Any]]], None], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedOperationError, match=words):
        read_qkeras(edited(tmp_path, edit), contract(6))


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(6,\), the contract says \(7,\)"):
        read_qkeras(HERE / "mlp.h5", contract(7))


@pytest.mark.parametrize("content", [b"", b"not hdf5", None])
def test_a_damaged_file_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5"
    path.write_bytes((HERE / "mlp.h5").read_bytes()[:5000] if content is None else content)
    with pytest.raises(ArtifactError, match=r"damaged\.h5 is damaged"):
        read_qkeras(path, contract(6))
