"""Each network of triggerforge.compression.forms, quantised; shared by the short tests and the long."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.forms import NETWORKS
from triggerforge.compression.keras_writer import write_keras
from triggerforge.compression.lowering import checked_graph
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.fixedpoint import FixedFormat


@dataclass(frozen=True)
class QuantisedForm:
    """A network, its twin without quantisers, and its quantised model."""

    module: nn.Module
    twin: keras.Model
    model: keras.Model
    quantized: QuantizedModel


def quantised_form(name: str) -> QuantisedForm:
    """The network `name` with few bits; its outputs are a vector."""
    shape, build = NETWORKS[name]
    torch.manual_seed(1)
    contract = contract_of(shape, "ap_fixed<6,3,RND,SAT>")
    module = nn.Sequential(randomised(build()), nn.Flatten()).eval()
    graph, twin = checked_graph(module, contract)
    scheme = QuantizationScheme(weight_bits=5, bias_bits=5, activation_fraction=3, table_bits=4)
    model = write_keras(graph, contract, scheme)
    hgq.utils.trace_minmax(model, inputs(contract))
    outputs = tuple(f"out{i}" for i in range(model.output_shape[-1]))
    return QuantisedForm(module, twin, model, QuantizedModel.from_keras(model, contract, outputs))


def contract_of(shape: tuple[int, ...], text: str = "ap_fixed<8,3,RND,SAT>") -> InputContract:
    """All inputs in one format."""
    fmt = FixedFormat.parse(text)
    names = [f"x{i}" for i in range(shape[-1])]
    return InputContract(tuple(InputFeature(n, "", 0.0, 0, fmt) for n in names), shape)


def randomised(module: nn.Module, seed: int = 1) -> nn.Module:
    """`module` in eval mode with statistics of batch normalisation that are not 0 and 1."""
    torch.manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_var is not None and layer.running_mean is not None
            layer.running_var.uniform_(0.5, 2)
            layer.running_mean.normal_(0, 0.3)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return module.eval()


def inputs(contract: InputContract, events: int = 206, seed: int = 1) -> np.ndarray:
    """Inputs (N, *shape) on the contract's grid."""
    normal = np.random.default_rng(seed).normal(0, 1.5, (events, *contract.shape))
    return contract.quantize(normal)
