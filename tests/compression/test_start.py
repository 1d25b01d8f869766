"""The quantised network is held to the float one: formats follow the ranges, and a dead start is an error."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from triggerforge.compression import ptq
from triggerforge.compression.backend import hgq
from triggerforge.compression.compress import compress
from triggerforge.compression.keras_writer import write_keras
from triggerforge.compression.lowering import checked_graph
from triggerforge.compression.qkeras import require_weights_fit
from triggerforge.compression.quantized_model import QuantizedModel, corner_inputs
from triggerforge.compression.ranges import set_start
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.compression.start import Start, compare
from triggerforge.config.compress import CompressConfig
from triggerforge.data.dataset import Splits
from triggerforge.errors import ModelError
from triggerforge.fixedpoint import Overflow
from triggerforge.result import RECORD_FILE
from triggerforge.runfolder import read_json
from triggerforge.training.trained import TrainedModel


def rescaled(module: nn.Module, factor: float) -> nn.Module:
    """The same function: the first layer times `factor`, the second layer's weights over it."""
    copy: nn.Sequential = torch.nn.Sequential(*module)  # type: ignore[misc]
    first, second = nn.Linear(4, 16), nn.Linear(16, 8)
    with torch.no_grad():
        for mine, theirs, scale in ((first, copy[0], factor), (second, copy[2], 1 / factor)):
            mine.weight.copy_(theirs.weight * scale)
        first.bias.copy_(copy[0].bias * factor)
        second.bias.copy_(copy[2].bias)
    return nn.Sequential(first, copy[1], second, *list(copy)[3:]).eval()


def rounded(trained: TrainedModel, splits: Splits, factor: float) -> tuple[np.ndarray, float]:
    """Outputs of the 8-bit twin, and how far they are off the float model."""
    module, x = rescaled(trained.module, factor), splits.validation.quantized_x
    model, twin = ptq.uniform_pair(module, splits.contract, splits.train.x)
    return np.asarray(model(x)), compare(model, twin, x).error


def test_eight_bits_are_as_good_wherever_the_binary_point_is(
    toy_trained: TrainedModel, toy_splits: Splits
) -> None:
    expected, error = rounded(toy_trained, toy_splits, 1.0)
    assert 0 < error < 0.05
    for power in (-40, 10):  # only binary points move
        found, _ = rounded(toy_trained, toy_splits, 2.0**power)
        np.testing.assert_array_equal(found, expected)
    for factor in (1e3, 1e-3):
        assert rounded(toy_trained, toy_splits, factor)[1] < 2 * error


@pytest.mark.parametrize("factor", [2.0**10, 2.0**-10])
def test_such_formats_are_exact(
    factor: float, toy_trained: TrainedModel, toy_splits: Splits
) -> None:
    module = rescaled(toy_trained.module, factor)
    model = ptq.uniform(module, toy_splits.contract, toy_splits.train.x)
    hidden = [np.asarray(v).max() for v in model.layers[2].iq.quantizer.kif]
    assert (hidden[1] > 8) if factor > 1 else (hidden[1] < -4)  # ap_fixed<8,11>, ap_fixed<8,-5>
    made = QuantizedModel.from_keras(model, toy_splits.contract, toy_splits.classes)
    x = corner_inputs(made.contract, 500, seed=4)
    np.testing.assert_array_equal(made.predict(x), made.reference(x))


def begun(module: nn.Module, splits: Splits, overflow: Overflow) -> Start:
    """How a training would begin."""
    graph, twin = checked_graph(module, splits.contract)
    scheme = QuantizationScheme(weight_bits=6, bias_bits=6, activation_overflow=overflow)
    model = write_keras(graph, splits.contract, scheme)
    set_start(model, twin, splits.train.quantized_x)
    hgq.utils.trace_minmax(model, splits.train.quantized_x)
    return compare(model, twin, splits.validation.quantized_x)


@pytest.mark.parametrize("overflow", [Overflow.WRAP, Overflow.SAT])
def test_no_scale_begins_with_a_dead_layer(
    overflow: Overflow, toy_trained: TrainedModel, toy_splits: Splits
) -> None:
    plain = begun(toy_trained.module, toy_splits, overflow)
    assert plain.error < 0.15
    for factor in (1e3, 1e-3):
        start = begun(rescaled(toy_trained.module, factor), toy_splits, overflow)
        assert not any(layer.dead for layer in start.layers)
        assert start.error < 1.5 * plain.error


@pytest.mark.parametrize("function", [nn.Softplus(), nn.LeakyReLU(0.1), nn.SiLU()])
def test_a_table_begins_with_room_for_what_it_gives(
    function: nn.Module, toy_splits: Splits
) -> None:
    """Tables saturate, and their ranges are not found while training: at 4 all of this was cut off."""
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(4, 8), function, nn.Linear(8, 3)).eval()
    with torch.no_grad():
        module[0].weight.mul_(10)
    assert begun(module, toy_splits, Overflow.WRAP).error < 0.1


def test_a_dead_layer_is_named_before_the_training(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig(epochs=1, bits={"weight": 1})  # a sign, and nothing below it
    with pytest.raises(ModelError, match=r"layer 'layer_0' .* gives 0 for all 1000 .*bits"):
        compress(config, toy_trained, toy_splits, 5, tmp_path)
    assert not (tmp_path / "qat.npz").exists()


def test_a_start_far_off_is_an_error_that_names_the_layer(
    toy_trained: TrainedModel, toy_splits: Splits, tmp_path: Path
) -> None:
    config = CompressConfig(method="ptq", bits={"uniform": 2}, max_start_error=0.5)
    with pytest.raises(ModelError, match=r"off the float model by .*allows 50 %.*'layer_\d'"):
        compress(config, toy_trained, toy_splits, 5, tmp_path)


def test_the_start_is_recorded_and_said(
    toy_trained: TrainedModel,
    toy_splits: Splits,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = CompressConfig(method="ptq", max_start_error=None)
    compress(config, toy_trained, toy_splits, 5, tmp_path)
    section = read_json(tmp_path / RECORD_FILE)["compression"]
    start = section["start"]
    assert 0 < start["error"] < 0.05 and start["events"] == len(toy_splits.validation.y)
    assert list(start["layers"])[-1] == section["layers"][-1]["name"]
    assert section["uniform8_error"] == start["error"]  # both are 8 bits everywhere
    assert "off the float model by" in " ".join(capsys.readouterr().err.split())


def test_a_float_layer_that_never_moves_is_not_taken_for_dead(
    toy_module: Callable[[], nn.Module], toy_splits: Splits
) -> None:
    module = toy_module()
    with torch.no_grad():
        module[2].weight.zero_()  # type: ignore[index]
    model, twin = ptq.uniform_pair(module, toy_splits.contract, toy_splits.train.x)
    start = compare(model, twin, toy_splits.validation.quantized_x)
    assert [layer.name for layer in start.layers] == ["layer_0"]
    start.require(0.5, "")


def test_qkeras_says_which_weights_its_range_cuts(
    toy_trained: TrainedModel, toy_splits: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, _ = checked_graph(rescaled(toy_trained.module, 1e3), toy_splits.contract)
    with pytest.raises(ModelError, match="weight_integer 0 cuts .* of the weights of 0 at 1"):
        require_weights_fit(graph, 0)
    require_weights_fit(graph, 12)
    assert "cuts" not in capsys.readouterr().err
    plain, _ = checked_graph(toy_trained.module, toy_splits.contract)
    require_weights_fit(plain, -1)
    assert "warning: compress.qkeras.weight_integer -1 cuts" in capsys.readouterr().err
