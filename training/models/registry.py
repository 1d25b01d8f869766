"""The networks by name.

An entry is a class of nn.Module that is built as `entry(contract, n_classes, **kwargs)`: it takes
one tensor x (N, *contract.shape) and gives logits (N, n_classes). One without `n_classes` gives an
anomaly score (N, 1) and has a method `losses(x)`, (N,), that training on ordinary events makes small.
"""

from collections.abc import Callable

from torch import nn

from triggerforge.registry import Registry
from triggerforge.training.models.autoencoder import Autoencoder
from triggerforge.training.models.cnn import CNN
from triggerforge.training.models.conv_autoencoder import ConvAutoencoder
from triggerforge.training.models.deepsets import DeepSets
from triggerforge.training.models.embedding_autoencoder import EmbeddingAutoencoder
from triggerforge.training.models.flow import Flow
from triggerforge.training.models.jedi_linear import JediLinear
from triggerforge.training.models.mlp import MLP
from triggerforge.training.models.region_student import RegionStudent
from triggerforge.training.models.vae import VAE

MODELS: Registry[Callable[..., nn.Module]] = Registry("model")

MODELS.register("mlp")(MLP)
MODELS.register("deepsets")(DeepSets)
MODELS.register("jedi_linear")(JediLinear)
MODELS.register("cnn")(CNN)
MODELS.register("autoencoder")(Autoencoder)
MODELS.register("vae")(VAE)
MODELS.register("embedding_autoencoder")(EmbeddingAutoencoder)
MODELS.register("conv_autoencoder")(ConvAutoencoder)
MODELS.register("region_student")(RegionStudent)
MODELS.register("flow")(Flow)
