"""The networks of `make bench`, at the sizes that the configurations in configs/ give them.

They are as initialised, not trained: the time of a call depends on the sizes, not on the values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.data.kinematics import VALID
from triggerforge.data.l1.layout import INPUTS
from triggerforge.fixedpoint import FixedFormat
from triggerforge.registry import Registry
from triggerforge.training.build import build_module
from triggerforge.training.trained import TrainedModel

_NUMBER, _FLAG = (FixedFormat.parse(f) for f in ("ap_fixed<12,3,RND,SAT>", "ap_ufixed<1,1>"))
_PARTICLES = ("pt_rel", "log_pt_rel", "deta", "dphi", "delta_r", VALID)


@dataclass(frozen=True)
class Network:
    """What one of the project's models is built from."""

    title: str
    model: str
    """as `train.model.name`"""
    shape: tuple[int, ...]
    """of one event"""
    inputs: tuple[str, ...]
    classes: int
    """1: the output is an anomaly score"""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """as `train.model.kwargs`"""

    @property
    def contract(self) -> InputContract:
        """Its inputs, all of one format."""
        features = tuple(
            InputFeature(name, "1", 0.0, 0, _FLAG if name == VALID else _NUMBER)
            for name in self.inputs
        )
        return InputContract(features, self.shape)

    def build(self, seed: int) -> TrainedModel:
        """The module with random weights, biases and batch-norm statistics."""
        scores = self.classes == 1
        classes = ("background", "signal") if scores else tuple("gqWZt"[: self.classes])
        architecture = {"name": self.model, "kwargs": dict(self.arguments)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build_module(architecture, self.contract, self.classes, Path())
            for part in module.modules():
                if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                    _spread(part)
        background = classes[:1] if scores else ()
        return TrainedModel(module.eval(), self.contract, classes, architecture, [], background)

    def events(self, number: int, seed: int) -> NDArray[np.float32]:
        """Random inputs (number, *shape): normal, and a `valid` that is 0 or 1."""
        x = np.random.default_rng(seed).standard_normal((number, *self.shape), np.float32)
        if self.inputs[-1] == VALID:
            x[..., -1] = x[..., -1] > -1
        return x


def _spread(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Fills in statistics and factors: those of a fresh layer change nothing and could be left out."""
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.2)


NETWORKS: Registry[Network] = Registry("network")
NETWORKS.register("mlp")(
    Network("MLP 16-64-32-32-5", "mlp", (16,), tuple(f"x{i}" for i in range(16)), 5)
)
NETWORKS.register("deepsets")(
    Network(
        "DeepSets 16x6, phi 32-32, head 32-32-5",
        *("deepsets", (16, 6), _PARTICLES, 5),
        {"phi": [32, 32], "head": [32, 32]},
    )
)
NETWORKS.register("ae")(Network("AE 57-32-16-3-16-32-57", "autoencoder", (57,), INPUTS, 1))
NETWORKS.register("vae")(
    Network(
        "VAE 57-32-16-3",
        *("vae", (57,), INPUTS, 1),
        {
            "hidden": [32, 16],
            "latent": 3,
            "beta": 0.03,
            "weights": {"eta": 0, "phi": 0, "eg": 8, "mu": 8},
        },
    )
)
NETWORKS.register("cnn")(
    Network(
        "CNN 40x40, channels 4-8, 16-5",
        *("cnn", (40, 40, 1), ("pixel_pt",), 5),
        {"pool": 2, "channels": [4, 8], "hidden": [16]},
    )
)
NETWORKS.register("jedi_linear")(
    Network(
        "JEDI-linear 16x6, width 16, head 32-16-5",
        *("jedi_linear", (16, 6), _PARTICLES, 5),
        {"width": 16, "head": [32, 16]},
    )
)
