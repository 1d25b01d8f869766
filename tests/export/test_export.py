"""The stage: what it writes, what it records, what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.onnx_file import read_metadata, read_onnx
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.export import ExportConfig
from triggerforge.errors import ModelError, ParityError, UnsupportedOperationError
from triggerforge.export.check import check_float, check_quantized
from triggerforge.export.export import export
from triggerforge.export.files import FLOAT_FILE, QONNX_FILE, QUANTIZED_FILE
from triggerforge.export.lowering import Lowering
from triggerforge.export.runtime import EngineSource
from triggerforge.export.walk import write_graph
from triggerforge.training.trained import TrainedModel

L = hgq.layers


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())["export"]
    return found


@pytest.mark.parametrize("file", [FLOAT_FILE, QUANTIZED_FILE, QONNX_FILE])
def test_every_file_carries_contract_and_classes(source: EngineSource, file: str) -> None:
    model = read_onnx(source.export_folder / file)
    assert read_metadata(model) == (source.quantized.contract, source.quantized.classes)
    assert [i.name for i in model.graph.input] == ["x"]
    assert [o.name for o in model.graph.output] == ["logits"]
    entries = {p.key: p.value for p in model.metadata_props}
    assert json.loads(entries["tools"])["onnx"] == onnx.__version__


def test_the_record_names_files_operators_and_checks(source: EngineSource) -> None:
    record = record_of(source.export_folder)
    assert [record[k]["file"] for k in ("float", "quantized", "qonnx")] == [
        FLOAT_FILE,
        QUANTIZED_FILE,
        QONNX_FILE,
    ]
    assert record["quantized"] | {"mismatches": 0, "events": 100} == record["quantized"]
    assert record["float"]["fraction"] <= 1e-4
    assert record["qonnx"]["operators"]["Quant"] >= 3


def test_without_a_float_model_it_is_recorded_as_not_run(
    source: EngineSource, tmp_path: Path
) -> None:
    export(ExportConfig(qonnx=False, check_events=10), None, source.quantized, tmp_path)
    record = record_of(tmp_path)
    assert "no full-precision model" in record["float"]["not run"]
    assert record["qonnx"]["not run"] == "qonnx: false"
    assert {p.name for p in tmp_path.iterdir()} == {QUANTIZED_FILE, "record.json"}


class Branching(nn.Module):
    """Depends on its values: torch cannot trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if x.sum() > 0 else -self.layer(x)


def test_a_module_that_torch_cannot_export_is_recorded_and_the_rest_goes_on(
    source: EngineSource, tmp_path: Path
) -> None:
    trained = TrainedModel(Branching().eval(), source.quantized.contract, ("a", "b", "c"), {}, [])
    export(ExportConfig(qonnx=False, check_events=10), trained, source.quantized, tmp_path)
    assert "torch cannot export Branching" in record_of(tmp_path)["float"]["not run"]
    assert (tmp_path / QUANTIZED_FILE).is_file()


def test_a_single_wrong_bit_is_a_parity_error(source: EngineSource) -> None:
    model = read_onnx(source.export_folder / QUANTIZED_FILE)
    weight = next(w for w in model.graph.initializer if w.name.startswith("weight"))
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[np.flatnonzero(values)[0]] *= 2
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    with pytest.raises(ParityError, match=r"quantized.onnx differs .* expected .* got"):
        check_quantized(model, source.quantized, 500)


def test_another_float_model_is_a_parity_error(source: EngineSource) -> None:
    model = read_onnx(source.export_folder / FLOAT_FILE)
    with torch.no_grad():
        other = TrainedModel(
            nn.Sequential(nn.Linear(6, 3)).eval(),
            source.quantized.contract,
            ("a", "b", "c"),
            {},
            [],
        )
    with pytest.raises(ParityError, match="float_tolerance"):
        check_float(model, other, 10, 1e-4)


def config(**more: Any) -> Any:
    return hgq.quantizer.QuantizerConfig("kif", "datalane", **more)


UNSUPPORTED = {
    "embedding": (lambda: keras.layers.Embedding(4, 3), "type Embedding has no exact ONNX form"),
    "tanh": (lambda: L.QDense(3, activation="tanh"), "activation 'tanh'.*QUnaryFunctionLUT"),
    "mode": (lambda: L.QDense(3, iq_conf=config(round_mode="RND_ZERO")), "mode 'RND_ZERO'"),
    "scaler": (lambda: L.QDense(3, iq_conf=config(scaler=3.0)), "scaler=3.0"),
    "table": (
        lambda: L.QUnaryFunctionLUT("tanh", enable_oq=False, enable_ebops=False),
        "without output quantiser",
    ),
    "leaky": (lambda: keras.layers.ReLU(negative_slope=0.1), "slope 0.1"),
    "lambda": (lambda: keras.layers.Lambda(lambda x: x), "Lambda has no exact ONNX form"),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_has_no_exact_form_is_one_error_that_names_the_layer(
    source: EngineSource, kind: str
) -> None:
    make, said = UNSUPPORTED[kind]
    layer = make()
    model = keras.Sequential([keras.Input((6,)), layer])
    with pytest.raises(UnsupportedOperationError, match=said) as caught:
        write_graph(Lowering(), model, source.quantized.contract, {})
    assert layer.name in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "layer", "said"),
    [
        ((3, 4), lambda: L.QGlobalAveragePooling1D(), "mean over 3 positions"),
        ((4, 4), lambda: L.QAveragePooling1D(2, padding="same"), "padded windows"),
        ((4, 4), lambda: L.QConv1D(4, 2, groups=2), "2 groups"),
        ((4, 4), lambda: L.QMaxPooling1D(2, data_format="channels_first"), "channels_first"),
    ],
)
def test_unequal_windows_and_other_layouts_are_refused(
    make_contract: Any, shape: tuple[int, ...], layer: Any, said: str
) -> None:
    model = keras.Sequential([keras.Input(shape), layer()])
    with pytest.raises(UnsupportedOperationError, match=said):
        write_graph(Lowering(), model, make_contract(*shape), {})


def test_a_model_for_other_inputs_is_refused(source: EngineSource) -> None:
    model = keras.Sequential([keras.Input((5,)), L.QDense(3)])
    with pytest.raises(ModelError, match=r"\[\(5,\)\].*\(6,\)"):
        write_graph(Lowering(), model, source.quantized.contract, {})


def test_the_same_model_gives_the_same_bytes(source: EngineSource) -> None:
    assert isinstance(source.quantized, QuantizedModel)
    first, second = (
        write_graph(Lowering(), source.quantized.keras_model(), source.quantized.contract, {})
        for _ in range(2)
    )
    assert first.SerializeToString() == second.SerializeToString()
