"""What a model file holds, without anything being made of it."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.inspect_model import inspect_model
from triggerforge.compression.model_file import from_file
from triggerforge.errors import ArtifactError, ModelError
from triggerforge.export.files import write_onnx
from triggerforge.export.quantized import quantized_onnx
from triggerforge.fixedpoint import FixedFormat

QKERAS_FILE = Path(__file__).parent / "qkeras" / "mlp.h5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model in three forms, and one with layers of floats."""
    made = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(1)
    given = hgq.config.QuantizerConfig("kif", "datalane", i0=2, f0=3)
    layers = [
        hgq.layers.QDense(6, activation="relu", iq_conf=given, name="inner"),
        hgq.layers.QDense(2, activation="softmax", name="out"),
    ]
    keras.Sequential([keras.Input((4,)), *layers]).save(made / "good.keras")
    quantized = from_file(made / "good.keras")
    quantized.save(made / "good.tfq")
    write_onnx(quantized_onnx(quantized), made / "good.onnx")
    entry = keras.Input((3, 4))
    inner = keras.layers.LeakyReLU(name="leaky")(hgq.layers.QDense(2, name="first")(entry))
    keras.Model(entry, keras.layers.Dense(2, name="head")(inner)).save(made / "floats.keras")
    return made


def test_an_hgq2_file(folder: Path) -> None:
    found = inspect_model(folder / "good.keras")
    assert (found.kind, found.version, found.supported) == (
        "HGQ2",
        "Keras " + keras.__version__,
        True,
    )
    assert [(row.name, row.kind) for row in found.layers] == [
        ("inner", "QDense"),
        ("out", "QDense"),
    ]
    assert found.layers[0].weights == 4 * 6 + 6
    assert found.ebops == sum(row.ebops or 0 for row in found.layers) > 0
    assert found.inputs[0].shape == (4,) and found.outputs[0].shape == (2,)
    formats = yaml.safe_load(found.port_formats)["formats"]
    assert formats == dict.fromkeys(("x0", "x1", "x2", "x3"), "ap_fixed<6,3,RND,WRAP>")
    assert all(str(FixedFormat.parse(text)) == text for text in formats.values())
    assert any("wrap" in note for note in found.notes)
    assert any("softmax of 'out'" in note for note in found.notes)


def test_layers_without_a_form_are_named_with_the_reason(folder: Path) -> None:
    found = inspect_model(folder / "floats.keras")
    assert not found.supported
    reasons = {row.name: row.unsupported for row in found.layers if row.unsupported}
    assert set(reasons) == {"leaky", "head"} and "no quantiser" in reasons["head"]
    assert any("particles that an event lacks" in note for note in found.notes)


def test_our_own_files(folder: Path) -> None:
    hgq2, own, onnx = (inspect_model(folder / f"good.{end}") for end in ("keras", "tfq", "onnx"))
    assert own.ebops == hgq2.ebops and own.port_formats == hgq2.port_formats == onnx.port_formats
    assert [row.name for row in own.layers] == ["inner", "out"]
    assert own.outputs[0].features == onnx.outputs[0].features == ("class0", "class1")
    assert "MatMul" in {row.kind for row in onnx.layers}


def test_a_qkeras_file() -> None:
    found = inspect_model(QKERAS_FILE)
    assert (found.kind, found.inputs[0].shape, found.supported) == ("QKeras", (6,), True)
    assert [row.weights for row in found.layers if row.kind == "QDense"] == [56, 72, 27]
    assert found.port_formats == "" and found.ebops is None
    assert any("data.precision.formats" in note for note in found.notes)


@pytest.mark.parametrize("ending", ["keras", "tfq", "onnx", "h5"])
def test_what_cannot_be_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    with pytest.raises(ArtifactError, match=rf"x\.{ending}"):
        inspect_model(path)
    path.write_bytes(np.random.default_rng(1).bytes(500))
    with pytest.raises(ArtifactError, match=rf"x\.{ending}"):
        inspect_model(path)
    with pytest.raises(ModelError, match=r"x\.pt.*known are"):
        inspect_model(tmp_path / "x.pt")
