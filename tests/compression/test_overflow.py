"""The audit inside the network counts what plain Python arithmetic counts."""

from fractions import Fraction as F
from math import floor

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression.backend import keras
from triggerforge.compression.lowering import lower
from triggerforge.compression.overflow import count_overflows, overflow_audit
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.fixedpoint import FixedFormat, Overflow

KERNEL, BIAS = [[1.5, -0.5], [0.25, 2.0]], [0.75, -1.0]
FORMAT = FixedFormat.parse("ap_fixed<5,3,RND,SAT>")


def contract_of(count: int) -> InputContract:
    features = (InputFeature(f"x{i}", "", 0.0, 0, FORMAT) for i in range(count))
    return InputContract(tuple(features), (count,))


def quantised(overflow: Overflow) -> QuantizedModel:
    """Two dense layers; between them two integer bits and one fractional bit, too few."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor(KERNEL))
        first.bias.copy_(torch.tensor(BIAS))
        second.weight.fill_(1.0)
        second.bias.fill_(0.5)
    scheme = QuantizationScheme(
        weight_bits=6,
        activation_integers=2,
        activation_fraction=1,
        activation_overflow=overflow,
        activation_granularity="layer",
    )
    model = lower(nn.Sequential(first, second), contract_of(2), scheme)
    return QuantizedModel.from_keras(model, contract_of(2), ("score",))


def counted(x: np.ndarray, symmetric: bool) -> tuple[int, int]:
    """Numbers and events out of ap_fixed<4,3>, in exact fractions."""
    low, high = (-F(7, 2) if symmetric else F(-4)), F(7, 2)
    numbers = events = 0
    for event in x.tolist():
        outside = 0
        for row, bias in zip(KERNEL, BIAS, strict=True):
            total = sum((F(w) * F(v) for w, v in zip(row, event, strict=True)), F(bias))
            rounded = F(floor(total * 2 + F(1, 2)), 2)
            outside += not low <= rounded <= high
        numbers, events = numbers + outside, events + (outside > 0)
    return numbers, events


@pytest.mark.parametrize("overflow", Overflow)
def test_every_overflow_is_counted(overflow: Overflow) -> None:
    x = corner_inputs(contract_of(2), 1500, seed=3)  # more than one batch, the last one not full
    port, inner = overflow_audit(quantised(overflow), x)
    numbers, events = counted(x, overflow is Overflow.SAT_SYM)
    assert 100 < numbers < x.size
    assert inner | {"layer": ""} == {
        "layer": "",
        "tensor": "input",
        "kind": "wrap" if overflow is Overflow.WRAP else "sat",
        "events": len(x),
        "overflows": numbers,
        "values": x.size,
        "events_with_overflow": events,
    }
    assert port["overflows"] == 0 and port["values"] == x.size


def test_the_model_computes_as_before_once_it_was_watched() -> None:
    model = quantised(Overflow.WRAP)
    x = corner_inputs(model.contract, 50, seed=1)
    overflow_audit(model, x)
    np.testing.assert_array_equal(model.reference(x), model.predict(x))


def test_tables_and_softmax_stand_in_the_audit_by_name() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3), nn.Softmax(-1))
    model = lower(module.eval(), contract_of(2), QuantizationScheme())
    rows = count_overflows(model, corner_inputs(contract_of(2), 20, seed=1))
    assert [(row["layer"], row["tensor"], row["kind"]) for row in rows] == [
        ("layer_0", "input", "sat"),
        ("layer_1", "input", "wrap"),
        ("layer_1", "output", "sat"),
        ("layer_2", "input", "wrap"),
        ("layer_3", "inv_table input", "wrap"),
        ("layer_3", "inv_table output", "sat"),
        ("layer_3", "exp_table input", "wrap"),
        ("layer_3", "exp_table output", "sat"),
    ]


def test_a_tensor_without_bits_loses_what_it_is_given() -> None:
    model = quantised(Overflow.SAT)
    copy = model.keras_model()
    inner = copy.layers[2].iq.quantizer
    for variable, value in ((inner._k, 0), (inner._i, -1), (inner._f, 1)):
        variable.assign(np.full(variable.shape, value))
    x = corner_inputs(model.contract, 100, seed=1)
    hidden = np.asarray(keras.Model(copy.inputs[0], copy.layers[1].output)(x))
    (row,) = (r for r in count_overflows(copy, x) if r["layer"] == "layer_1")
    assert row["overflows"] == (np.floor(hidden * 2 + 0.5) != 0).sum()


def test_no_events_have_no_rows() -> None:
    assert overflow_audit(quantised(Overflow.SAT), np.zeros((0, 2), np.float32)) == []
