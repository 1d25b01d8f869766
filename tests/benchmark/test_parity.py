"""Mismatches are counted, measured in LSB and shown; corner inputs are the corners."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triggerforge.benchmark.corners import corner_inputs
from triggerforge.benchmark.parity import Pair, compare, report_mismatches
from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, ParityError
from triggerforge.pipeline import check_gates
from triggerforge.result import collect, write_record

LSB = np.array([0.25, 0.5])


def pair(tolerance: float = 0.0) -> Pair:
    return Pair("hgq2", "rtl", "test", LSB, tolerance)


def test_equal_outputs_have_no_mismatch_and_no_examples() -> None:
    y = np.array([[1.0, -2.0], [0.25, 0.0]])
    row = compare(pair(), y, y + 0.0)
    assert (row.events, row.outputs, row.mismatches, row.max_lsb) == (2, 4, 0, 0.0)
    assert "examples" not in row.model_dump()


def test_a_mismatch_is_shown_with_event_expected_and_got_in_lsb(
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = np.array([[1.0, -2.0], [0.25, 0.0]])
    got = expected + np.array([[0, 0], [0.25, -1.5]])
    row = compare(pair(), expected, got)
    assert (row.mismatches, row.max_lsb) == (2, 3.0)
    assert row.model_dump()["examples"][0] == {
        "event": 1,
        "output": 0,
        "expected_lsb": 1.0,
        "got_lsb": 2.0,
    }
    report_mismatches([row])
    said = capsys.readouterr().err
    assert "rtl differs from hgq2 in 2 of 4 outputs (test inputs), by up to 3 LSB" in said
    assert "event 1, output 1: expected 0 LSB, got -3 LSB" in said


def test_the_tolerance_is_in_lsb_and_includes_its_end() -> None:
    expected = np.zeros((2, 2))
    got = np.array([[0.125, 0.25], [0.126, 0.0]])
    row = compare(pair(tolerance=0.5), expected, got)
    assert (row.mismatches, row.tolerance_lsb) == (1, 0.5)


def test_what_float32_may_round_grows_with_the_expected_output() -> None:
    expected = np.array([[-1e6, 0.0], [1e6, 0.0]])
    got = expected + np.array([[0.25, 0.0], [0.375, 0.25]])
    both = Pair("torch", "onnxruntime", "test", np.ones(2), 0.125, 2.0**-22)
    row = compare(both, expected, got)
    assert row.tolerance_relative == 2.0**-22
    shown = [(e["event"], e["output"]) for e in row.model_dump()["examples"]]
    assert shown == [(1, 0), (1, 1)]  # 0.125 + 0.24 are allowed of a million, 0.125 of nothing


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["expected", "got", "both"])
def test_what_is_not_finite_is_a_mismatch_whatever_the_tolerance(
    bad: float, side: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, spoilt = np.zeros((1, 2)), np.array([[0.0, bad]])
    expected, got = {"expected": (spoilt, good), "got": (good, spoilt), "both": (spoilt, spoilt)}[
        side
    ]
    row = compare(replace(pair(tolerance=1e9), tolerance_relative=1.0), expected, got)
    assert (row.mismatches, row.max_lsb) == (1, None)
    write_record(tmp_path, parity=[row])
    record = collect([tmp_path], seed=1)
    (read,) = record["parity"]
    (example,) = read["examples"]
    assert read["max_lsb"] is None
    assert (example["expected_lsb"] is None) == (side != "got")
    assert (example["got_lsb"] is None) == (side != "expected")
    with pytest.raises(ParityError, match=r"rtl: 1 of 2 outputs \(test inputs\)"):
        check_gates(record)
    report_mismatches([row])
    said = capsys.readouterr().err
    assert "by up to no finite number" in said
    assert f"expected {'0 LSB' if side == 'got' else 'no finite number'}" in said


def test_at_most_five_examples_are_kept() -> None:
    row = compare(pair(), np.zeros((50, 2)), np.ones((50, 2)))
    assert row.mismatches == 100
    assert len(row.model_dump()["examples"]) == 5


def test_answers_to_other_events_are_refused() -> None:
    with pytest.raises(ModelError, match=r"rtl gives outputs of shape \(3, 2\), hgq2 \(2, 2\)"):
        compare(pair(), np.zeros((2, 2)), np.zeros((3, 2)))


def test_corners_lie_on_the_grid_and_reach_every_end(contract: InputContract) -> None:
    corners = corner_inputs(contract, 5000, seed=1)
    assert set(corners) == {"extremes", "LSB", "past the range", "one input", "random bits"}
    low, high = np.array([f.format.range for f in contract.features]).T
    for x in corners.values():
        np.testing.assert_array_equal(contract.quantize(x), x)
        assert x.dtype == np.float32
    for name in ("extremes", "one input", "random bits"):
        np.testing.assert_array_equal(corners[name].min(axis=0), low)
        np.testing.assert_array_equal(corners[name].max(axis=0), high)


def test_past_the_range_saturates_or_wraps_as_the_contract_says(contract: InputContract) -> None:
    above, below, *_ = corner_inputs(contract, 1, seed=1)["past the range"]
    low, high = np.array([f.format.range for f in contract.features]).T
    # the second input wraps; the third is symmetric
    np.testing.assert_array_equal(above, [high[0], low[1], high[2]])
    np.testing.assert_array_equal(below, [low[0], high[1], low[2]])


def test_one_input_at_a_time(contract: InputContract) -> None:
    x = corner_inputs(contract, 1, seed=1)["one input"]
    # at the lower end an unsigned input is 0
    assert sorted(np.count_nonzero(x, axis=1)) == [0, 1, 1, 1, 1, 1]


def test_random_bits_repeat_under_a_seed(contract: InputContract) -> None:
    first, again, other = (corner_inputs(contract, 9, s)["random bits"] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_particles_too(contract: InputContract) -> None:
    many = InputContract(contract.features, (4, 3))
    shapes: dict[str, Any] = {k: v.shape for k, v in corner_inputs(many, 7, 0).items()}
    assert shapes["one input"] == (24, 4, 3)
    assert shapes["random bits"] == (7, 4, 3)
