"""The networks by name.

An entry is a class of nn.Module that is built as `entry(contract, n_classes, **kwargs)`: it takes
one tensor x (N, *contract.shape) and gives logits (N, n_classes).
"""

from collections.abc import Callable

from torch import nn

from triggerforge.registry import Registry
from triggerforge.training.models.cnn import CNN
from triggerforge.training.models.deepsets import DeepSets
from triggerforge.training.models.jedi_linear import JediLinear
from triggerforge.training.models.mlp import MLP

MODELS: Registry[Callable[..., nn.Module]] = Registry("model")

MODELS.register("mlp")(MLP)
MODELS.register("deepsets")(DeepSets)
MODELS.register("jedi_linear")(JediLinear)
MODELS.register("cnn")(CNN)
