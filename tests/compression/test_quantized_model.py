"""The quantised model and its file."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression import ptq
from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ArtifactError, DataError, ModelError, ParityError
from triggerforge.fixedpoint import FixedFormat

CONTRACT = InputContract(
    tuple(
        InputFeature(f"x{i}", "GeV", 1.0, 2, FixedFormat.parse("ap_fixed<8,4,RND,SAT>"))
        for i in range(4)
    ),
    (4,),
)
CLASSES = ("q", "g", "t")


@pytest.fixture(scope="module")
def quantized() -> QuantizedModel:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    model = lower(module, CONTRACT, QuantizationScheme(weight_bits=5, activation_fraction=4))
    hgq.utils.trace_minmax(model, corner_inputs(CONTRACT, 200, 1))
    return QuantizedModel.from_keras(model, CONTRACT, CLASSES)


@pytest.fixture
def saved(quantized: QuantizedModel, tmp_path: Path) -> Path:
    path = tmp_path / "model.tfq"
    quantized.save(path)
    return path


def rewrite(path: Path, **changes: bytes) -> None:
    """Replaces members of the file; `manifest` is the name of manifest.json, and so on."""
    names = {"manifest": "manifest.json", "alir": "alir.json", "keras": "model.keras"}
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members |= {names[key]: data for key, data in changes.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_it_says_what_it_holds(quantized: QuantizedModel) -> None:
    assert quantized.ebops == sum(layer["ebops"] for layer in quantized.layers) > 0
    assert [layer["kind"] for layer in quantized.layers] == ["QDense", "QDense"]
    first = quantized.layers[0]
    assert first["weights"] == 4 * 8 + 8
    assert first["nonzero_weights"] == first["weights"] - first["weight_bits"].get("0", 0)
    assert first["activation_bits_max"] == 8
    assert {"alkaid", "hgq2", "keras"} <= set(quantized.versions)
    json.dumps(quantized.layers)


def test_predictions_are_those_of_keras(quantized: QuantizedModel) -> None:
    x = corner_inputs(CONTRACT, 1000, 5)
    expected = np.asarray(quantized.keras_model()(x))
    np.testing.assert_array_equal(quantized.predict(x), expected)
    np.testing.assert_array_equal(quantized.predict(x, threads=1), expected)
    np.testing.assert_array_equal(quantized.reference(x), expected)


def test_outputs_stay_on_their_formats(quantized: QuantizedModel) -> None:
    y = quantized.predict(corner_inputs(CONTRACT, 1000, 6))
    for column, fmt in zip(y.T, quantized.output_formats, strict=True):
        np.testing.assert_array_equal(fmt.quantize(column), column)


def test_corner_inputs_hold_the_ends_of_every_range() -> None:
    x = corner_inputs(CONTRACT, 10, 1)
    np.testing.assert_array_equal(CONTRACT.quantize(x), x)
    low, high = CONTRACT.features[0].format.range
    assert {0.0, low, high, -high, 2.0**-4, -(2.0**-4)} <= set(x[:6, 0].tolist())


def test_no_events(quantized: QuantizedModel) -> None:
    assert quantized.predict(np.zeros((0, 4))).shape == (0, 3)
    assert quantized.reference(np.zeros((0, 4))).shape == (0, 3)


@pytest.mark.parametrize("x", [np.zeros((2, 5)), np.zeros((2, 2, 2)), np.full((2, 4), np.nan)])
def test_inputs_that_do_not_fit(quantized: QuantizedModel, x: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"\(4,\)|8 of 8 inputs are NaN"):
        quantized.predict(x)
    with pytest.raises(DataError, match=r"\(4,\)"):
        quantized.compute(x)


def test_a_wide_model_is_compared_in_float64() -> None:
    """14 bits: sums that float32 does not hold."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    x = corner_inputs(CONTRACT, 300, 2)
    made = QuantizedModel.from_keras(ptq.uniform(module, CONTRACT, x, bits=14), CONTRACT, CLASSES)
    assert (np.asarray(made.keras_model()(x)) != made.predict(x)).any()
    np.testing.assert_array_equal(made.reference(x), made.predict(x))
    assert keras.config.floatx() == "float32"


def test_weights_of_the_caller_are_left_alone() -> None:
    model = lower(nn.Linear(4, 3), CONTRACT, QuantizationScheme(weight_bits=3))
    before = model.get_weights()
    QuantizedModel.from_keras(model, CONTRACT, CLASSES)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_saving_and_loading(quantized: QuantizedModel, saved: Path) -> None:
    loaded = QuantizedModel.load(saved)
    x = corner_inputs(CONTRACT, 100, 3)
    np.testing.assert_array_equal(loaded.predict(x), quantized.predict(x))
    for name in ("contract", "classes", "ebops", "layers", "versions", "keras_file"):
        assert getattr(loaded, name) == getattr(quantized, name)
    assert [p.name for p in saved.parent.iterdir()] == ["model.tfq"]


def test_the_same_model_gives_the_same_bytes(quantized: QuantizedModel, saved: Path) -> None:
    quantized.save(saved.with_name("again.tfq"))
    assert saved.with_name("again.tfq").read_bytes() == saved.read_bytes()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="absent"):
        QuantizedModel.load(tmp_path / "absent.tfq")


@pytest.mark.parametrize("cut", [0, 10, 1000, -100])
def test_a_truncated_file(saved: Path, cut: int) -> None:
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(ArtifactError, match="compress again"):
        QuantizedModel.load(saved)


def test_a_flipped_bit(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 1
    saved.write_bytes(bytes(data))
    with pytest.raises(ArtifactError):
        QuantizedModel.load(saved)


def test_a_member_that_was_exchanged(saved: Path) -> None:
    rewrite(saved, keras=b"something else")
    with pytest.raises(ArtifactError, match=r"model\.keras is not what was written"):
        QuantizedModel.load(saved)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_version(saved: Path, version: object) -> None:
    rewrite(saved, manifest=json.dumps({"format_version": version}).encode())
    with pytest.raises(ArtifactError, match="format version"):
        QuantizedModel.load(saved)


@pytest.mark.parametrize("manifest", [b"{}", b"[]", b"null", b"{", b"\xff"])
def test_a_manifest_that_is_none(saved: Path, manifest: bytes) -> None:
    rewrite(saved, manifest=manifest)
    with pytest.raises(ArtifactError, match="compress again"):
        QuantizedModel.load(saved)


def test_a_member_that_would_unpack_to_too_much(saved: Path) -> None:
    rewrite(saved, manifest=b" " * (2**24 + 1))
    with pytest.raises(ArtifactError, match="at most"):
        QuantizedModel.load(saved)


def test_shapes_that_do_not_fit() -> None:
    model = lower(nn.Linear(4, 3), CONTRACT, QuantizationScheme())
    with pytest.raises(ModelError, match="2 classes"):
        QuantizedModel.from_keras(model, CONTRACT, ("a", "b"))
    wider = replace(CONTRACT, features=CONTRACT.features * 2, shape=(8,))
    with pytest.raises(ModelError, match=r"\(8,\)"):
        QuantizedModel.from_keras(model, wider, CLASSES)


def test_a_layer_without_a_fixed_point_form() -> None:
    entry = keras.Input((4,))
    model = keras.Model(entry, keras.layers.Softmax()(hgq.layers.QDense(3)(entry)))
    with pytest.raises(ModelError, match="HGQ2"):
        QuantizedModel.from_keras(model, CONTRACT, CLASSES)


def test_a_graph_that_differs_from_keras(
    quantized: QuantizedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check at creation finds a trace of other weights."""
    other = lower(nn.Linear(4, 3), CONTRACT, QuantizationScheme())
    module = "triggerforge.compression.quantized_model.trace_keras"
    monkeypatch.setattr(module, lambda model, contract: quantized.alir)
    with pytest.raises(ParityError, match="event"):
        QuantizedModel.from_keras(other, CONTRACT, CLASSES)
