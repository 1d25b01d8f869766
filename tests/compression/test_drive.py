"""The check of a trace drives saturations that random inputs leave alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression import quantized_model
from triggerforge.compression.backend import keras
from triggerforge.compression.drive import drive
from triggerforge.compression.layer_sites import watched
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs, trace_keras
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import ParityError
from triggerforge.fixedpoint import FixedFormat, Overflow

INPUTS = 12
FORMAT = FixedFormat.parse("ap_fixed<6,3,RND,SAT>")
CONTRACT = InputContract(
    tuple(InputFeature(f"x{i}", "", 0.0, 0, FORMAT) for i in range(INPUTS)), (INPUTS,)
)


def network(integers: int, overflow: Overflow = Overflow.SAT) -> keras.Model:
    """Sums with signs that alternate, up to ±48 each, in so many integer bits."""
    first, second = nn.Linear(INPUTS, 2, bias=False), nn.Linear(2, 1)
    with torch.no_grad():
        signs = torch.tensor([1.0, -1.0] * (INPUTS // 2))
        first.weight.copy_(torch.stack([signs, -signs]))
        second.weight.copy_(torch.tensor([[1.0, 0.5]]))
        second.bias.zero_()
    scheme = QuantizationScheme(
        weight_bits=4,
        activation_integers=integers,
        activation_fraction=2,
        activation_overflow=overflow,
        activation_granularity="layer",
    )
    return lower(nn.Sequential(first, second), CONTRACT, scheme)


@pytest.mark.parametrize("overflow", Overflow)
def test_both_ends_are_passed_that_no_random_event_passes(overflow: Overflow) -> None:
    model, x = network(5, overflow), corner_inputs(CONTRACT, 500, seed=1)
    sums = x @ np.resize([1, -1], INPUTS)
    assert np.abs(sums).max() < 31  # nothing overflows by chance
    driven = drive(lambda e: watched(model, e), CONTRACT, x)
    sums = driven.x @ np.resize([1, -1], INPUTS)
    assert sums.max() > 32 and sums.min() < -32
    assert driven.missed == ("layer_0: input",)  # a port's own quantiser cannot be passed
    assert driven.reached == 4 and driven.ends == 2 * INPUTS + 4
    np.testing.assert_array_equal(driven.outputs, np.asarray(model(driven.x)))
    np.testing.assert_array_equal(driven.x, CONTRACT.quantize(driven.x))


def test_a_graph_that_lacks_a_saturation_is_found() -> None:
    """As alkaid might leave one out that it takes for needless."""
    model = network(5)
    made = QuantizedModel.from_keras(model, CONTRACT, ("score",))
    wrong = replace(made, alir=trace_keras(network(7), CONTRACT))
    x = corner_inputs(CONTRACT, 500, seed=1)
    np.testing.assert_array_equal(wrong.predict(x), made.reference(x))  # all that was asked before
    with pytest.raises(ParityError, match="fixed-point graph differ from Keras"):
        quantized_model._checked(wrong, model)


def test_what_was_reached_stands_in_the_model() -> None:
    made = QuantizedModel.from_keras(network(5), CONTRACT, ("score",))
    assert made.trace_check["driven"] == 4
    assert made.trace_check["not_driven_in"] == ["layer_0: input"]
    never = QuantizedModel.from_keras(network(7), CONTRACT, ("score",))
    assert never.trace_check["not_driven_in"] == ["layer_0: input", "layer_1: input"]


def test_a_model_that_is_not_what_its_file_gives_back() -> None:
    """As a layer that loses a parameter on its way would be."""
    made = QuantizedModel.from_keras(network(5), CONTRACT, ("score",))
    other = network(5)
    other.layers[-1].bias.assign(np.array([1.0]))
    with pytest.raises(ParityError, match="read back from its file"):
        quantized_model._checked(made, other)
