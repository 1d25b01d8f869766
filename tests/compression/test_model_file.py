"""Model files of third parties."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.lowering import lower
from triggerforge.compression.model_file import from_file, implied_contract
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ArtifactError, ModelError
from triggerforge.fixedpoint import FixedFormat

QKERAS_FILE = Path(__file__).parent / "qkeras" / "mlp.h5"


def third_party() -> keras.Model:
    """As an HGQ2 user writes it: a Sequential model with default quantisers."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((4,)), hgq.layers.QDense(6, activation="relu"), hgq.layers.QDense(2)]
    )
    x = np.random.default_rng(1).normal(0, 2, (200, 4)).astype(np.float32)
    hgq.utils.trace_minmax(model, x)
    return model


def test_an_hgq2_file_brings_its_own_formats(tmp_path: Path) -> None:
    model = third_party()
    model.save(tmp_path / "model.keras")
    quantized = from_file(tmp_path / "model.keras")
    assert quantized.classes == ("class0", "class1")
    assert quantized.contract.names == ("x0", "x1", "x2", "x3")
    k, i, f = (np.asarray(v).ravel() for v in model.layers[0].iq.quantizer.kif)
    widths = [feature.format.width for feature in quantized.contract.features]
    assert widths == (k + i + f).astype(int).tolist()
    x = corner_inputs(quantized.contract, 100, 1)
    np.testing.assert_array_equal(quantized.predict(x), np.asarray(model(x)))


def test_an_hgq2_file_with_a_contract(tmp_path: Path) -> None:
    third_party().save(tmp_path / "model.keras")
    fmt = FixedFormat.parse("ap_fixed<12,6>")
    contract = InputContract(tuple(InputFeature(n, "", 0, 0, fmt) for n in "abcd"), (4,))
    quantized = from_file(tmp_path / "model.keras", contract, ("s", "b"))
    assert quantized.contract is contract and quantized.classes == ("s", "b")


def test_our_own_file(tmp_path: Path) -> None:
    fmt = FixedFormat.parse("ap_fixed<6,3>")
    contract = InputContract(tuple(InputFeature(n, "", 0, 0, fmt) for n in "abcd"), (4,))
    model = lower(nn.Linear(4, 2), contract, QuantizationScheme(weight_bits=4))
    QuantizedModel.from_keras(model, contract, ("s", "b")).save(tmp_path / "m.tfq")
    assert from_file(tmp_path / "m.tfq", contract).classes == ("s", "b")
    with pytest.raises(ModelError, match="leave out"):
        from_file(tmp_path / "m.tfq", classes=("b", "s"))


def test_a_qkeras_file_needs_a_contract() -> None:
    with pytest.raises(ModelError, match="give a contract"):
        from_file(QKERAS_FILE)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\.onnx"):
        from_file(tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="absent"):
        from_file(tmp_path / "absent.keras")
    (tmp_path / "broken.keras").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ArtifactError, match=r"broken\.keras is damaged"):
        from_file(tmp_path / "broken.keras")


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    entry = keras.Input((4,))
    model = keras.Model(entry, keras.layers.Lambda(lambda x: x + 1)(entry))
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(ModelError, match="layer 'lambda' is of class Lambda, which runs code"):
        from_file(tmp_path / "lambda.keras")


def test_inputs_that_are_not_quantised(tmp_path: Path) -> None:
    entry = keras.Input((4,))
    model = keras.Model(entry, hgq.layers.QDense(2)(keras.layers.Activation("relu")(entry)))
    with pytest.raises(ModelError, match="give an input contract"):
        implied_contract(model)


def read_twice(**second: Any) -> keras.Model:
    entry = keras.Input((4,))
    first = hgq.layers.QDense(2, iq_conf=hgq.config.QuantizerConfig("kif", i0=2, f0=3))(entry)
    conf = hgq.config.QuantizerConfig("kif", i0=1, f0=5, **second)
    both = hgq.layers.QAdd(iq_confs=[hgq.config.QuantizerConfig("kif", i0=1, f0=3), conf])
    return keras.Model(entry, both([first, hgq.layers.QDense(2, iq_conf=conf)(entry)]))


def test_inputs_that_are_quantised_twice() -> None:
    """The port holds what both take; ends and roundings that differ have no one format."""
    contract = implied_contract(read_twice())
    assert {str(f.format) for f in contract.features} == {"ap_fixed<8,3,RND,WRAP>"}
    with pytest.raises(ModelError, match="several ways"):
        implied_contract(read_twice(overflow_mode="SAT"))


def test_an_input_that_goes_round_a_layer() -> None:
    """A sum of the input and of a layer of it quantises each with a quantiser of its own."""
    entry = keras.Input((4,))
    first = hgq.layers.QDense(4, iq_conf=hgq.config.QuantizerConfig("kif", i0=2, f0=3))(entry)
    confs = [hgq.config.QuantizerConfig("kif", i0=i, f0=f) for i, f in ((9, 9), (3, 1))]
    model = keras.Model(entry, hgq.layers.QAdd(iq_confs=confs)([first, entry]))
    formats = {str(f.format) for f in implied_contract(model).features}
    assert formats == {"ap_fixed<7,4,RND,WRAP>"}
