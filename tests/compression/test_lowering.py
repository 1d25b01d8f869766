"""The Keras twin is the torch module before quantisation, and its own fixed-point graph after it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from tests.compression.quantised_form import contract_of, inputs, quantised_form, randomised
from triggerforge.compression.backend import keras
from triggerforge.compression.converters import FUNCTIONS, MODULES
from triggerforge.compression.forms import DOCUMENT, NETWORKS, Fn, V, with_table
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.compression.torch_reader import read_torch
from triggerforge.errors import ModelError, UnsupportedOperationError
from triggerforge.export.engines.onnxruntime import session
from triggerforge.export.quantized import quantized_onnx
from triggerforge.training.models.registry import MODELS

TOLERANCE = 4e-6  # of the largest output: float32 sums in another order


def relative_error(module: nn.Module, shape: tuple[int, ...]) -> float:
    contract = contract_of(shape)
    return error_of(lower(module, contract), module, inputs(contract))


def error_of(twin: keras.Model, module: nn.Module, x: np.ndarray) -> float:
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    got = np.asarray(twin(x))
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_form_keeps_its_values_and_once_quantised_its_bits(name: str, tmp_path: Path) -> None:
    """Saved, loaded and as ONNX too; `make test-long` goes on to native code, hls4ml and RTL."""
    form = quantised_form(name)
    assert error_of(form.twin, form.module, inputs(form.quantized.contract)) < TOLERANCE
    x = corner_inputs(form.quantized.contract, 200, seed=2)
    expected = np.asarray(form.model(x), np.float64)
    form.quantized.save(tmp_path / "model.tfq")
    loaded = QuantizedModel.load(tmp_path / "model.tfq")
    np.testing.assert_array_equal(loaded.predict(x), expected)
    np.testing.assert_array_equal(loaded.reference(x), expected)
    onnx = session(quantized_onnx(loaded)).run(None, {"x": x})[0]
    np.testing.assert_array_equal(onnx, expected)


def test_every_converter_has_a_network() -> None:
    """What is registered, what is documented and what is tested are one list."""
    used = set()
    for _, build in NETWORKS.values():
        module = build()
        leaf = fx.Tracer().is_leaf_module(module, "")
        traced = fx.symbolic_trace((nn.Sequential(module) if leaf else module).eval())
        for node in traced.graph.nodes:
            if node.op == "call_module":
                used.add(MODULES[type(traced.get_submodule(node.target)).__name__])
            elif (
                name := str(getattr(node.target, "__name__", node.target)).rstrip("_")
            ) in FUNCTIONS:
                used.add(FUNCTIONS[name])
    for registry in (MODULES, FUNCTIONS):
        assert not [name for name, converter in registry.items() if converter not in used]


def test_the_table_in_the_document_is_the_list() -> None:
    text = DOCUMENT.read_text()
    assert text == with_table(text), "run python -m triggerforge.compression.forms"


@pytest.mark.parametrize(
    ("name", "shape", "kwargs"),
    [
        ("mlp", (16,), {"batchnorm": True}),
        ("deepsets", (8, 4), {"batchnorm": True}),
        ("deepsets", (8, 4), {"form": "efn", "energy": "x0"}),
        ("deepsets", (8, 4), {"pool": "max"}),
        ("jedi_linear", (8, 4), {"width": 8, "head": (8,)}),
        ("cnn", (40, 40, 1), {}),
    ],
)
def test_the_models_that_come_along(
    name: str, shape: tuple[int, ...], kwargs: dict[str, object]
) -> None:
    torch.manual_seed(1)
    module = randomised(MODELS[name](contract_of(shape), 5, **kwargs))
    assert relative_error(module, shape) < TOLERANCE


def test_batch_normalisation_leaves_no_layer() -> None:
    _, build = NETWORKS["batchnorm-transposed"]
    kinds = [
        type(layer).__name__ for layer in lower(randomised(build()), contract_of((4, 3))).layers
    ]
    assert kinds == ["InputLayer", "QDense"]


def test_relu_joins_the_layer_before_it() -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    assert len(lower(module, contract_of((6,))).layers) == 2


def test_the_module_is_left_as_it_was() -> None:
    module = randomised(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)))
    expected = np.asarray(lower(module, contract_of(V))(inputs(contract_of(V))))
    module.train()
    module[1].eval()  # type: ignore[index]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    got = np.asarray(lower(module, contract_of(V))(inputs(contract_of(V))))
    np.testing.assert_array_equal(got, expected)
    assert [part.training for part in module.modules()] == [True, True, False, True]
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


class Nested(nn.Module):
    """An operation two levels down."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 4), inner)

    def forward(self, x: Tensor) -> Tensor:
        """Calls the trunk."""
        result: Tensor = self.trunk(x)
        return result


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (nn.LayerNorm(4), ["trunk.1", "LayerNorm", "BatchNorm1d"]),
        (nn.PReLU(), ["trunk.1", "PReLU", "ReLU"]),
        (Fn(lambda x, m: torch.sort(x, dim=1)[0]), ["trunk.1", "sort", "contract"]),
        (Fn(lambda x, m: x / (x + 1)), ["trunk.1", "truediv", "multiplication by a constant"]),
        (Fn(lambda x, m: x - x.mean()), ["trunk.1", "mean", "dim=1"]),
        (Fn(lambda x, m: x.sum(dim=0, keepdim=True) + x), ["trunk.1", "sum", "batch"]),
        (Fn(lambda x, m: x**3), ["trunk.1", "pow", "x ** 2"]),
        (Fn(lambda x, m: x[:3]), ["trunk.1", "getitem", "events"]),
        (Fn(lambda x, m: x.reshape(-1, 2)), ["trunk.1", "reshape", "batch"]),
        (Fn(lambda x, m: torch.cat([x, torch.ones(7, 4)], 1)), ["trunk.1", "cat", "constant"]),
        (Fn(lambda x, m: x.to(torch.int32).float()), ["trunk.1", "to torch.int32", "float32"]),
        (Fn(lambda x, m: nn.functional.dropout(x)), ["trunk.1", "dropout", "training"]),
        (Fn(lambda x, m: nn.functional.softplus(x, 2.0)), ["trunk.1", "softplus", "arguments"]),
        (Fn(lambda x, m: nn.functional.hardtanh(x, -2, 2)), ["trunk.1", "hardtanh", "-1 to 1"]),
        (Fn(lambda x, m: torch.cat([x[:, 0:0], x], 1)), ["trunk.1", "getitem", "elements"]),
        (Fn(lambda x, m: x + torch.tensor([0.0, 0, 0, -np.inf])), ["trunk.1", "add", "inf"]),
        (Fn(lambda x, m: torch.einsum("ni,ij->n", x, torch.ones(4, 2))), ["trunk.1", "einsum"]),
        (Fn(lambda x, m: torch.abs(x)), ["trunk.1", "abs", "maximum(x, -x)"]),
        (Fn(lambda x, m: torch.clamp(x, 0, 1)), ["trunk.1", "clamp", "hardtanh"]),
        (Fn(lambda x, m: x * (x > 0)), ["trunk.1", "gt", "0/1"]),
        (Fn(lambda x, m: torch.erf(x)), ["trunk.1", "erf", "docs/lowering.md"]),
    ],
)
def test_an_unsupported_operation_says_where_what_and_what_else(
    inner: nn.Module, words: list[str]
) -> None:
    with pytest.raises(UnsupportedOperationError) as error:
        lower(Nested(inner), contract_of((6,)))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv1d(4, 2, 2, padding_mode="circular", padding=1),
        nn.Conv1d(4, 2, 2, dilation=2),
        nn.AvgPool1d(3),
        nn.MaxPool1d(2, ceil_mode=True),
        nn.AdaptiveAvgPool1d(2),
        nn.AdaptiveMaxPool2d((1, None)),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.ELU(alpha=2.0),
        nn.Hardtanh(-2, 2),
        nn.BatchNorm1d(4, track_running_stats=False),
    ],
    ids=lambda m: type(m).__name__,
)
def test_an_unsupported_setting_is_named(module: nn.Module) -> None:
    with pytest.raises(UnsupportedOperationError, match=type(module).__name__):
        lower(module, contract_of((4, 3)))


def test_a_module_that_does_not_fit_the_contract() -> None:
    with pytest.raises(ModelError, match=r"shape \(N, 5\)"):
        lower(nn.Linear(6, 3), contract_of((5,)))


def test_a_module_that_branches_on_values() -> None:
    with pytest.raises(ModelError, match="branch"):
        lower(Fn(lambda x, m: x if x.sum() > 0 else -x), contract_of((6,)))


def test_a_module_with_two_outputs() -> None:
    module = Fn(lambda x, m: (x, x * 2))  # type: ignore[arg-type,return-value]
    with pytest.raises(ModelError, match="one tensor"):
        lower(module, contract_of((6,)))


def test_a_shared_module_becomes_two_layers() -> None:
    module = Fn(lambda x, m: m.lin(torch.relu(m.lin(x))), lin=nn.Linear(6, 6))
    names = [layer.name for layer in read_torch(module, contract_of((6,))) if layer.op == "linear"]
    assert names == ["lin", "lin_1"]
    assert relative_error(module, (6,)) < TOLERANCE


def test_a_sliced_input_is_quantised_first() -> None:
    """hls4ml 1.3 asks for a quantiser behind an input; the contract's own formats change nothing."""
    contract = contract_of((4, 3), "ap_fixed<6,3,RND,SAT>")
    model = lower(Fn(lambda x, m: x[..., 1:]), contract, QuantizationScheme())
    (quantizer,) = (layer.iq for layer in model.layers[1:])
    x = corner_inputs(contract, 50, seed=1)
    np.testing.assert_array_equal(np.asarray(quantizer(x)), x)
    assert not model.trainable_weights
