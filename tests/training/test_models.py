"""The networks: shapes, masks, and operations that torch.fx can trace."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import fx, nn

from triggerforge.config.train import ModelConfig
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.l1.layout import INPUTS
from triggerforge.errors import ModelError, RegistryError
from triggerforge.fixedpoint import FixedFormat
from triggerforge.training.build import build_module
from triggerforge.training.models.blocks import mean_scale
from triggerforge.training.models.registry import MODELS
from triggerforge.training.models.views import CrossingViews

FORMAT = FixedFormat.parse("ap_fixed<12,4,RND,SAT>")
PARTICLE = ("pt_rel", "deta", "dphi", "valid")
Contracts = Callable[..., InputContract]
Network = tuple[str, tuple[int, ...], tuple[str, ...] | None, dict[str, Any]]
"""name, shape and names of the inputs, arguments"""
CASES: list[Network] = [
    ("mlp", (16,), None, {}),
    ("mlp", (16,), None, {"hidden": [8], "batchnorm": True}),
    ("mlp", (8, 3), None, {}),
    ("deepsets", (8, 3), PARTICLE[:3], {}),
    ("deepsets", (8, 4), PARTICLE, {"pool": "max", "batchnorm": True}),
    ("deepsets", (8, 4), PARTICLE, {"pool": "sum"}),
    ("deepsets", (8, 4), PARTICLE, {"form": "efn", "energy_scale": 0.5}),
    ("jedi_linear", (8, 3), PARTICLE[:3], {}),
    ("jedi_linear", (8, 4), PARTICLE, {"batchnorm": False, "pool": "sum"}),
    ("cnn", (40, 40, 1), None, {}),
    ("cnn", (16, 16, 2), None, {"pool": 1, "channels": [2], "hidden": [], "batchnorm": False}),
    ("region_student", (18, 14, 1), None, {}),
    ("region_student", (18, 14, 1), None, {"kernel": 2, "sum_phi": False}),
]
SCORES: list[Network] = [
    ("autoencoder", (57,), INPUTS, {}),
    ("autoencoder", (6,), None, {"hidden": [4], "latent": 2, "batchnorm": True}),
    ("vae", (57,), INPUTS, {"weights": {"met": 2.0, "phi": 0.5}}),
    ("vae", (6,), None, {"score": "kl"}),
    ("embedding_autoencoder", (57,), INPUTS, {}),
    ("conv_autoencoder", (18, 14, 1), None, {"channels": [4, 4], "latent": 8}),
    ("flow", (6,), None, {"transforms": 2, "hidden": [8]}),
]
"""networks with an anomaly score"""


def build(contract: InputContract, name: str, classes: int = 5, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_module({"name": name, "kwargs": kwargs}, contract, classes, Path("."))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_gives_logits_and_is_traced(make_contract: Contracts, case: Network) -> None:
    name, shape, names, kwargs = case
    module = build(make_contract(shape, names), name, **kwargs)
    x = torch.randn(7, *shape)
    logits = module(x)
    assert logits.shape == (7, 5)
    assert torch.equal(fx.symbolic_trace(module)(x), logits)


@pytest.mark.parametrize("case", SCORES, ids=lambda case: case[0])
def test_gives_a_score_and_the_loss_of_each_event(make_contract: Contracts, case: Network) -> None:
    name, shape, names, kwargs = case
    module = build(make_contract(shape, names), name, classes=1, **kwargs)
    x = torch.randn(64, *shape)
    with torch.no_grad():
        score, losses = module(x), module.losses(x)  # type: ignore[operator]
    assert score.shape == (64, 1) and losses.shape == (64,)
    assert torch.isfinite(score).all() and torch.isfinite(losses).all()
    module.train()
    module.losses(x).mean().backward()  # type: ignore[operator]
    used = [name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()]
    assert len(used) > 3
    if name != "flow":
        module.eval()
        assert torch.equal(fx.symbolic_trace(module)(x), module(x))


def test_every_registered_model_is_covered() -> None:
    assert {case[0] for case in [*CASES, *SCORES]} == set(MODELS)
    assert {c[0] for c in SCORES} == {n for n, m in MODELS.items() if hasattr(m, "losses")}


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_what_is_put_where_no_object_is_costs_nothing(make_contract: Contracts, name: str) -> None:
    module = build(make_contract((57,), INPUTS), name, classes=1)
    x = FORMAT.quantize(np.random.default_rng(0).uniform(0.5, 3, (50, 57))).astype(np.float32)
    x[:, 12:15] = 0  # the last e/gamma
    there, other = torch.from_numpy(x), torch.from_numpy(x) + torch.randn(50, 57)
    error = module.error
    moved = other.clone()
    moved[:, 12:15] += 5
    for form in (error, error.in_hardware):  # type: ignore[union-attr]
        assert torch.equal(form(there, moved), form(there, other))
        assert not torch.equal(form(there, other + 1), form(there, other))
    torch.testing.assert_close(error.in_hardware(there, other)[:, 0], error(there, other))  # type: ignore[union-attr, operator]


def test_ten_jets_count_as_much_as_one_met(make_contract: Contracts) -> None:
    weight = build(make_contract((57,), INPUTS), "vae", classes=1).error.weight  # type: ignore[union-attr]
    assert weight[:3].sum() == 0.75 and weight[27:].sum() == 30 / 32  # type: ignore[index, union-attr]


def test_a_view_keeps_what_a_trigger_sees(make_contract: Contracts) -> None:
    views = CrossingViews(make_contract((57,), INPUTS))
    x = torch.rand(200, 57) * 4
    x[:, 54:] = 0
    view = views(x, torch.Generator().manual_seed(1))
    assert not torch.equal(view, x) and not view[:, 54:].any()
    assert torch.equal(view, views(x, torch.Generator().manual_seed(1)))
    pt, eta, phi = view.reshape(200, 19, 3).unbind(2)
    there = pt > 0
    assert 0.8 < there[:, :18].float().mean() < 0.95  # a tenth is lost
    assert torch.equal(eta[there].abs(), x.reshape(200, 19, 3)[..., 1][there].abs())
    assert (phi >= 0).all() and (phi <= views.period).all()


def test_mlp_has_the_published_sizes(make_contract: Contracts) -> None:
    module = build(make_contract((16,)), "mlp")
    assert sum(p.numel() for p in module.parameters()) == 4389  # 16-64-32-32-5 with biases


def test_a_student_sees_a_deposit_alike_at_any_phi(make_contract: Contracts) -> None:
    module = build(make_contract((18, 14, 1)), "region_student", classes=1, channels=8)
    x = torch.rand(4, 18, 14, 1) * 4
    torch.testing.assert_close(module(x), module(x.roll(5, dims=1)), rtol=0, atol=1e-5)
    assert not torch.allclose(module(x), module(x.roll(5, dims=2)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["deepsets", "jedi_linear"])
@pytest.mark.parametrize("names", [PARTICLE[:3], PARTICLE])
def test_order_of_particles_is_no_input(
    make_contract: Contracts, name: str, names: tuple[str, ...]
) -> None:
    module = build(make_contract((8, len(names)), names), name)
    x = torch.randn(4, 8, len(names))
    shuffled = x[:, torch.randperm(8)]
    torch.testing.assert_close(module(x), module(shuffled), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["deepsets", "jedi_linear"])
@pytest.mark.parametrize("pool", ["mean", "sum", "max"])
def test_particles_that_are_not_valid_do_not_count(
    make_contract: Contracts, name: str, pool: str
) -> None:
    module = build(make_contract((8, 4), PARTICLE), name, pool=pool)
    x = torch.randn(4, 8, 4)
    x[..., 3] = 1
    x[:, 5:, 3] = 0
    other = x.clone()
    other[:, 5:, :3] = 17.0
    assert torch.equal(module(x), module(other))
    other[:, 4, :3] += 1.0
    assert not torch.equal(module(x), module(other))


def test_efn_is_infrared_and_collinear_safe(make_contract: Contracts) -> None:
    module = build(make_contract((8, 4), PARTICLE), "deepsets", form="efn")
    x = torch.randn(4, 8, 4).abs()
    x[:, 6:] = 0
    soft, split = x.clone(), x.clone()
    soft[:, 6] = torch.tensor([0.0, 3.0, -2.0, 1.0])  # a particle without energy
    split[:, 0, 0] *= 0.25  # one particle becomes two in the same direction
    split[:, 7] = x[:, 0] * torch.tensor([0.75, 1, 1, 1])
    torch.testing.assert_close(module(soft), module(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(module(split), module(x), rtol=0, atol=1e-6)


def test_mean_is_a_power_of_two() -> None:
    assert [mean_scale(p) for p in (1, 8, 20, 24, 150)] == [1, 1 / 8, 1 / 16, 1 / 32, 1 / 128]


def test_cnn_is_small_enough_to_unroll(make_contract: Contracts) -> None:
    module = build(make_contract((40, 40, 1)), "cnn")
    counted = 0

    def count(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal counted
        per_output = layer.weight[0].numel()  # type: ignore[index, union-attr, operator]
        counted += output[0].numel() * per_output

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    module(torch.zeros(1, 40, 40, 1))
    assert counted == 100 * 4 * 9 + 25 * 8 * 36 + 200 * 16 + 16 * 5 == 14_080


def test_unknown_names_and_arguments_are_refused(make_contract: Contracts) -> None:
    flat, particles = make_contract((16,)), make_contract((8, 4), PARTICLE)
    with pytest.raises(RegistryError, match="did you mean 'deepsets'"):
        build(flat, "deepset")
    with pytest.raises(ModelError, match=r"no argument 'hiden'; did you mean 'hidden'"):
        build(flat, "mlp", hiden=[3])
    with pytest.raises(ModelError, match="no argument 'n_classes'"):
        build_module({"name": "mlp", "kwargs": {"n_classes": 3}}, flat, 5, Path("."))
    with pytest.raises(ModelError, match="cannot be built with .*hidden.*TypeError"):
        build(flat, "mlp", hidden=["wide"])
    with pytest.raises(ModelError, match="no pooling 'median'; choose one of mean, sum, max"):
        build(particles, "deepsets", pool="median")
    with pytest.raises(ModelError, match="vae needs events that are a list of numbers"):
        build(particles, "vae", classes=1)
    with pytest.raises(ModelError, match="no score 'mse' of a vae; choose mu2 or kl"):
        build(flat, "vae", classes=1, score="mse")
    with pytest.raises(ModelError, match="weights: no input is of 'jets'"):
        build(flat, "autoencoder", classes=1, weights={"jets": 2})
    with pytest.raises(ModelError, match="weights: f is -1"):
        build(flat, "autoencoder", classes=1, weights={"f": -1})
    with pytest.raises(ModelError, match="need the inputs l1_objects"):
        build(flat, "embedding_autoencoder", classes=1)
    with pytest.raises(ModelError, match="needs maps of shape .* even sides"):
        build(particles, "region_student")
    with pytest.raises(ModelError, match="kernel 3 does not divide the map of 18x14 regions"):
        build(make_contract((18, 14, 1)), "region_student", kernel=3)
    with pytest.raises(ModelError, match="no form 'gnn'"):
        build(particles, "deepsets", form="gnn")
    with pytest.raises(ModelError, match=r"energy weight 'pt' is no input; did you mean 'pt_rel'"):
        build(particles, "deepsets", form="efn", energy="pt")


@pytest.mark.parametrize(
    ("name", "shape"), [("deepsets", (16,)), ("jedi_linear", (4, 4, 1)), ("cnn", (8, 4))]
)
def test_inputs_of_another_shape_are_refused(
    make_contract: Contracts, name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ModelError, match=rf"f0.* have shape \({shape[0]},"):
        build(make_contract(shape), name)


def test_images_that_do_not_divide_are_refused(make_contract: Contracts) -> None:
    with pytest.raises(ModelError, match="shrinks images 8 times does not fit 20x20"):
        build(make_contract((20, 20, 1)), "cnn")


def test_efn_needs_an_energy_without_offset() -> None:
    fmt = FixedFormat.parse("ap_fixed<12,4>")
    names = ("pt_rel", "deta", "dphi")
    features = tuple(InputFeature(n, "", 0.5 if n == "pt_rel" else 0.0, 0, fmt) for n in names)
    with pytest.raises(ModelError, match=r"offset 0\.5 .* both must be 0"):
        build(InputContract(features, (8, 3)), "deepsets", form="efn")


def test_the_configuration_knows_every_model() -> None:
    with pytest.raises(ValidationError, match="Input should be") as refused:
        ModelConfig.model_validate({"name": "transformer"})
    assert all(f"'{name}'" in str(refused.value) for name in MODELS)
