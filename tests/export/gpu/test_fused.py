"""The fused Triton kernel gives torch's numbers in float64: interpreted here, compiled on a card."""

import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import MissingToolError, ModelError, UnsupportedOperationError
from triggerforge.export.float_model import float_onnx
from triggerforge.export.gpu import triton_kernel
from triggerforge.export.gpu.fused import FusedKernel, write_fused
from triggerforge.export.gpu.fused_writer import translated
from triggerforge.export.gpu.triton_kernel import Tile, TritonKernel, candidates, fastest
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.models.registry import MODELS
from triggerforge.training.trained import TrainedModel

TOLERANCE = {"fp32": 1e-5, "tf32x3": 1e-5, "fp16": 2e-3, "bf16": 2e-2}
"""largest difference, in units of the largest output: what docs/gpu.md states"""
EVENTS = (1, 16, 37)
"""less than a tile, one, and tiles with a rest"""
NETWORKS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "mlp": ("mlp", (16,), {"batchnorm": True}),
    "autoencoder": ("autoencoder", (57,), {}),
    "vae": ("vae", (57,), {}),
    "vae with its divergence": ("vae", (57,), {"score": "kl"}),
    "deepsets": ("deepsets", (8, 3), {}),
    "deepsets of ten, largest": ("deepsets", (10, 3), {"pool": "max", "phi": (8,), "head": (8,)}),
    "energy flow": ("deepsets", (8, 4), {"form": "efn", "energy": "x1"}),
    "jedi_linear": ("jedi_linear", (8, 3), {"width": 8, "head": (8,)}),
    "jedi_linear of twelve": ("jedi_linear", (12, 5), {"width": 20, "head": (7,)}),
    "cnn": ("cnn", (8, 8, 2), {"channels": (4,), "hidden": (8,)}),
    "cnn of two layers": ("cnn", (16, 16, 1), {"channels": (3, 5), "hidden": (6,)}),
}
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="triton is not installed: dependency group `gpu`"
)


class Joined(nn.Module):
    """Slices and concatenations of what is computed, sums over either axis, and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 6), nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(self.inner(x))
        parts = [y[:, 1:3, 2:4].flatten(1), y.mean(2)[:, :3], y.amin(1)[:, 3:]]
        return self.outer(torch.cat(parts, 1)).sigmoid() / (1.0 + x.square().sum((1, 2))[:, None])


class Attention(nn.Module):
    """Products of two tensors of an event, and what is excluded by an infinite number."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(3, 4), nn.Linear(3, 4)
        self.register_buffer("mask", torch.ones(5, 5).tril().log())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) + self.mask.clamp(min=-1e4)
        return (scores.softmax(2) @ x).flatten(1)


class Grouped(nn.Module):
    """Convolutions of groups, with zeros around, and windows with the smallest number around."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, groups=2)
        self.second = nn.Conv2d(4, 3, 3, padding=1)
        self.third = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x[:, None, :, :].expand(-1, 2, -1, -1)).relu()
        y = self.third(self.second(y).relu())
        return nn.functional.max_pool2d(y, 3, 2, padding=1).flatten(1)


class Functions(nn.Module):
    """Functions of one and of two elements, and every way to join those of an axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f, a, b = nn.functional, x[:, :, 0], x[:, :, 1]
        y = [
            f.leaky_relu(a),
            f.elu(a),
            f.gelu(a),
            a.sigmoid(),
            (a.abs() + 0.1).log(),
            a.clamp(-1.0, 0.5),
        ]
        y += [torch.where(a > b, a, b * b), torch.where(a <= 0, b, a), (a == b) * 1.0]
        joined = torch.stack(y, 2).log_softmax(1)
        return torch.cat([joined.flatten(1), joined.amax(2), joined.square().sum(1).sqrt()], 1)


SMALL: dict[str, tuple[type[nn.Module], tuple[int, ...], int]] = {
    "slices and concatenations": (Joined, (5, 3), 4),
    "attention": (Attention, (5, 3), 15),
    "convolutions of groups": (Grouped, (6, 5), 27),
    "functions": (Functions, (20, 2), 209),
}


@pytest.fixture(autouse=True)
def _one_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card tries every tile of a network, and compiles each."""
    monkeypatch.setattr(triton_kernel, "candidates", lambda rows: candidates(rows)[:1])


def objects(shape: tuple[int, ...]) -> InputContract:
    """Triples of pT, η, φ where there are 57 inputs, as the autoencoders have them."""
    grid = FixedFormat.parse("ap_fixed<12,8,RND,SAT>")
    names = [f"x{i}" for i in range(shape[-1])]
    if shape == (57,):
        names = [f"jet{i}_{q}" for i in range(19) for q in ("pt", "eta", "phi")]
    return InputContract(tuple(InputFeature(n, "", 0.0, 0, grid) for n in names), shape)


@cache
def network(name: str) -> TrainedModel:
    model, shape, arguments = NETWORKS[name]
    torch.manual_seed(1)
    contract = objects(shape)
    classes = tuple("abcde")
    if model in ("autoencoder", "vae"):
        module, classes = MODELS[model](contract, **arguments), ("score",)
    else:
        module = MODELS[model](contract, len(classes), **arguments)
    return trained(module, contract, classes)


@cache
def fused(name: str) -> FusedKernel:
    return write_fused(float_onnx(network(name)))


def trained(module: nn.Module, contract: InputContract, outputs: tuple[str, ...]) -> TrainedModel:
    return TrainedModel(module.eval(), contract, outputs, {"class": "none"}, [])


def largest_error(model: TrainedModel, precision: Any, kernel: FusedKernel | None = None) -> float:
    """Over all numbers of events, in units of the largest output of torch in float64."""
    kernel = kernel or write_fused(float_onnx(model))
    started = TritonKernel(kernel, precision)
    x = torch.randn((max(EVENTS), *model.contract.shape), generator=torch.manual_seed(2))
    with torch.no_grad():
        expected = model.module.double()(x.double()).numpy()
    model.module.float()
    found = []
    for events in EVENTS:
        y = torch.full((events, kernel.outputs), torch.nan, device=started.device)
        started.start(x[:events].to(started.device), y)
        found.append(np.abs(y.cpu().numpy() - expected[:events]).max())
    return float(max(found) / np.abs(expected).max())


@needs_triton
@pytest.mark.parametrize("precision", ["fp32", "tf32x3"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_come_along(name: str, precision: str) -> None:
    assert largest_error(network(name), precision, fused(name)) <= TOLERANCE[precision]


@needs_triton
@pytest.mark.parametrize("name", SMALL)
def test_what_layers_are_joined_by(name: str) -> None:
    module, shape, outputs = SMALL[name]
    torch.manual_seed(1)
    names = tuple(f"o{i}" for i in range(outputs))
    model = trained(module(), objects(shape), names)
    assert largest_error(model, triton_kernel.DEFAULT) <= TOLERANCE["fp32"]


@needs_triton
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["mlp", "autoencoder", "vae", "deepsets", "jedi_linear"])
def test_the_error_of_fewer_bits_is_what_is_stated(name: str, precision: str) -> None:
    model = network(name)
    kernel = fused(name)
    if triton_kernel.interpreted():
        # the interpreter multiplies bfloat16 as integers; as float32 the rounded factors' product is exact
        kernel = replace(kernel, text=kernel.text.replace(".to(KIND)", ".to(KIND).to(tl.float32)"))
    error = largest_error(model, precision, kernel)
    assert TOLERANCE["fp32"] / 10 < error <= TOLERANCE[precision]


@needs_triton
@pytest.mark.parametrize("name", ["mlp", "deepsets"])
def test_every_tile_gives_the_same_numbers(name: str) -> None:
    kernel = fused(name)
    started = TritonKernel(kernel)
    x = torch.randn((300, kernel.inputs), generator=torch.manual_seed(3)).to(started.device)
    first = torch.full((300, kernel.outputs), torch.nan, device=started.device)
    started.start(x, first)
    for tile in candidates(kernel.rows)[1:]:
        y = torch.full_like(first, torch.nan)
        started.start(x, y, tile)
        torch.testing.assert_close(y, first, rtol=0, atol=1e-5 * float(first.abs().max()))


@needs_triton
def test_nan_and_infinity_pass() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    started = TritonKernel(write_fused(float_onnx(trained(module, objects((4,)), ("a", "b")))))
    x = torch.ones((20, 4))
    x[0, 2], x[1, 0] = torch.nan, torch.inf
    y = torch.zeros((20, 2), device=started.device)
    with np.errstate(invalid="ignore"):  # the interpreter's numpy speaks of it
        started.start(x.to(started.device), y)
    with torch.no_grad():
        np.testing.assert_allclose(y.cpu().numpy(), module(x).numpy(), rtol=1e-5)


@needs_triton
@pytest.mark.parametrize(
    ("kind", "function"),
    [("Prod", np.prod), ("Sum", np.sum), ("Max", np.max), ("Min", np.min)],
)
@pytest.mark.parametrize("columns", [4, 20])  # written out, and joined by Triton
def test_elements_of_an_axis_are_joined(kind: str, function: Any, columns: int) -> None:
    node = helper.make_node(f"Reduce{kind}", ["x", "axes"], ["y"], keepdims=1)
    started = TritonKernel(write_fused(model_of(node, {"axes": np.array([1])}, columns)))
    x = np.random.default_rng(1).normal(size=(20, columns)).astype(np.float32)
    x[3, 1] = np.nan
    y = torch.zeros((20, 1), device=started.device)
    started.start(torch.from_numpy(x).to(started.device), y)
    expected = function(x.astype(np.float64), 1, keepdims=True)
    np.testing.assert_allclose(y.cpu().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_each_precision_multiplies_in_a_way_of_its_own() -> None:
    """The interpreter's products are exact in all of them: there numbers alone tell no difference."""
    ways = triton_kernel._FACTORS
    assert set(ways) == set(get_args(triton_kernel.Precision)) == set(TOLERANCE)
    assert len(set(ways.values())) == len(ways)


@needs_triton
def test_another_precision_is_refused() -> None:
    with pytest.raises(ModelError, match="no precision 'fp8'; choose fp32, tf32x3, fp16, bf16"):
        TritonKernel(fused("mlp"), "fp8")  # type: ignore[arg-type]


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("name", ["mlp", "deepsets of ten, largest", "cnn"])
def test_triton_compiles_it_without_a_card(name: str, tmp_path: Path) -> None:
    """In a process of its own: this one interprets."""
    path = tmp_path / "fused.py"
    path.write_text(fused(name).text)
    script = Path(__file__).parent / "compile_fused.py"
    done = subprocess.run(
        [sys.executable, str(script), str(path)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [
        "90:fp32:ieee:0",
        "90:fp32:tf32x3:mma",
        "75:fp32:tf32x3:0",
        "80:fp16:ieee:mma",
    ]


def test_without_triton_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(MissingToolError, match="triton was not found; install.*gpu"):
        TritonKernel(fused("mlp"))


@needs_triton
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_card_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(MissingToolError, match="built without CUDA|no GPU was found"):
        TritonKernel(fused("mlp"))


def test_the_fastest_tile_that_fits_is_taken() -> None:
    tiles = candidates(8)
    assert all(tile.events >= 16 for rows in (1, 8, 1024) for tile in candidates(rows))
    assert {tile.warps for tile in candidates(1)} == {1, 2, 4, 8}
    assert candidates(1024)
    took = {tile: float(i) for i, tile in enumerate(tiles)}
    assert fastest(tiles, took.get) == tiles[0]
    assert fastest(tiles, {**took, tiles[0]: None}.get) == tiles[1]
    assert fastest(tiles[::-1], took.get, patience=-1) == tiles[-1]
    assert fastest(tiles[::-1], {**took, tiles[-1]: None}.get, patience=-1) == tiles[-2]
    with pytest.raises(UnsupportedOperationError, match="do not fit"):
        fastest([Tile(16, 4, 2)], lambda _: None)


def model_of(node: onnx.NodeProto, constants: dict[str, Any], columns: int = 4) -> onnx.ModelProto:
    """x (N, columns) through one node."""
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", columns]) for n in ("x", "y")
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    return helper.make_model(helper.make_graph([node], "g", values[:1], values[1:], tensors))


@pytest.mark.parametrize(
    ("kind", "constants", "words"),
    [
        ("Det", {}, "Det.*the triton engine has no such operation"),
        ("TopK", {"k": np.array([2])}, "TopK.*the triton engine has no such operation"),
        ("Sin", {}, "Sin.*the triton engine has no function 'sine'"),
        ("Gemm", {"e": np.full((4, 4), np.nan, np.float32)}, "NaN"),
        ("Gemm", {"e": np.zeros((4, 20_000), np.float32)}, "weights"),
    ],
)
def test_what_it_cannot_do_is_named(kind: str, constants: dict[str, Any], words: str) -> None:
    node = helper.make_node(kind, ["x", *constants], ["y"])
    with pytest.raises(UnsupportedOperationError, match=words):
        write_fused(model_of(node, constants))


def test_a_layer_with_a_memory_is_refused() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.gru(x)[0].flatten(1)
            return y

    model = float_onnx(trained(Recurrent(), objects((5, 3)), tuple(f"o{i}" for i in range(20))))
    with pytest.raises(UnsupportedOperationError, match="GRU.*the triton engine has no such"):
        write_fused(model)


@pytest.mark.parametrize(
    ("cpp", "python"),
    [
        ("1.0f / (1.0f + a)", "1.0 / (1.0 + a)"),
        ("v1 * 0.25f - 1e-05f", "v1 * 0.25 - 1e-05"),
        ("-(V() + INFINITY)", '-(0.0 + float("inf"))'),
        ("equal(v1, V(-INFINITY))", 'equal(v1, (-float("inf")))'),
        ("larger(v2, V()) * v3f", "larger(v2, 0.0) * v3f"),
    ],
)
def test_expressions_are_translated(cpp: str, python: str) -> None:
    assert translated(cpp) == python
