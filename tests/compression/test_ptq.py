"""Post-training quantisation."""

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression import ptq
from triggerforge.compression.backend import hgq
from triggerforge.compression.bitmap import ebops, layer_bits
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.errors import DataError
from triggerforge.fixedpoint import FixedFormat

FORMATS = ("ap_fixed<12,4,RND,SAT>", "ap_ufixed<10,3,RND,SAT>", "ap_ufixed<1,1>")
CONTRACT = InputContract(
    tuple(InputFeature(f"x{i}", "", 0.0, 0, FixedFormat.parse(f)) for i, f in enumerate(FORMATS)),
    (3,),
)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3), nn.Softmax(-1)
    ).eval()


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return CONTRACT.quantize(np.random.default_rng(1).normal(0.5, 1.5, (500, 3)))


def test_more_bits_come_closer(x: np.ndarray) -> None:
    expected = network()(torch.from_numpy(x)).detach().numpy()
    errors = [
        np.abs(np.asarray(ptq.uniform(network(), CONTRACT, x, bits)(x)) - expected).max()
        for bits in (4, 6, 8, 12)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01


def test_every_number_has_the_bits_asked_for(x: np.ndarray) -> None:
    model = ptq.uniform(network()[:5], CONTRACT, x, bits=6)
    for record in layer_bits(model):
        if record["weights"]:
            assert set(record["weight_bits"]) <= {"0", "6"}
        assert record["activation_bits_max"] <= 6
    first = model.layers[1].iq.quantizer
    widths = sum(np.asarray(v) for v in first.kif).ravel()
    assert widths.tolist() == [6, 6, 1]  # no finer and no wider than the port


def test_it_is_bit_exact(x: np.ndarray) -> None:
    model = ptq.uniform(network(), CONTRACT, x, bits=6)
    made = QuantizedModel.from_keras(model, CONTRACT, ("a", "b", "c"))
    events = corner_inputs(CONTRACT, 200, 2)
    np.testing.assert_array_equal(made.predict(events), np.asarray(model(events)))


def test_a_percentile_gives_up_range_for_a_finer_step(x: np.ndarray) -> None:
    tail = np.concatenate([x, np.full((1, 3), 7.0, np.float32)])
    steps = [
        float(
            np.asarray(
                ptq.uniform(network()[:1], CONTRACT, tail, 6, p).layers[1].iq.quantizer.f
            ).max()
        )
        for p in (100.0, 90.0)
    ]
    assert steps[1] > steps[0]


def test_ebops_are_those_that_hgq2_counts(x: np.ndarray) -> None:
    model = ptq.uniform(network(), CONTRACT, x, bits=8)
    assert ebops(model) == hgq.utils.trace_minmax(model, x)


@pytest.mark.parametrize(
    ("events", "bits", "percentile"), [(0, 8, 100.0), (10, 1, 100.0), (10, 30, 100.0), (10, 8, 0.0)]
)
def test_what_it_refuses(x: np.ndarray, events: int, bits: int, percentile: float) -> None:
    with pytest.raises(DataError, match="post-training quantisation"):
        ptq.uniform(network(), CONTRACT, x[:events], bits, percentile)
