"""Hardware thresholds: whole LSB inside the range; nothing wraps."""

import numpy as np
import pytest

from triggerforge.errors import DataError, RateError
from triggerforge.fixedpoint import FixedFormat, Overflow
from triggerforge.trigger.grid import difference, require_on_grid, saturating, to_lsb

WRAPS = FixedFormat.parse("ap_fixed<8,4>")


def test_a_threshold_is_a_whole_number_of_lsb() -> None:
    assert to_lsb(1.5, WRAPS) == 24
    assert to_lsb(-8.0, WRAPS) == -128
    with pytest.raises(RateError, match=r"no multiple of 0\.0625.*1\.5 or 1\.5625"):
        to_lsb(1.51, WRAPS)


@pytest.mark.parametrize("threshold", [8.0, 16.0, -8.0625, np.nan, np.inf])
def test_a_threshold_past_the_range_is_refused_and_never_wraps(threshold: float) -> None:
    with pytest.raises(RateError, match=r"outside -8\.\.7\.9375"):
        to_lsb(threshold, WRAPS)


def test_the_grid_saturates_whatever_the_format_does() -> None:
    assert saturating(WRAPS).overflow is Overflow.SAT
    assert saturating(WRAPS).quantize(np.array([8.0]))[0] == 7.9375


def test_scores_off_the_grid_are_not_the_firmwares() -> None:
    require_on_grid(np.array([0.0, 0.0625, -8.0]), WRAPS, "firmware")
    for bad in (0.03, 8.0):
        with pytest.raises(DataError, match="1 of 2 scores of the firmware model"):
            require_on_grid(np.array([0.0, bad]), WRAPS, "firmware")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ap_fixed<8,4>", "ap_fixed<8,4>"),
        ("ap_ufixed<6,6>", "ap_fixed<10,3>"),
        ("ap_fixed<4,-2>", "ap_ufixed<3,5>"),
    ],
)
def test_a_difference_holds_every_value_and_no_bit_more(first: str, second: str) -> None:
    a, b = FixedFormat.parse(first), FixedFormat.parse(second)
    found = difference(a, b)
    ends = [x - y for x in a.range for y in b.range]
    np.testing.assert_array_equal(found.quantize(np.array(ends)), ends)
    half = FixedFormat(found.width - 1, found.integer - 1, overflow=Overflow.SAT)
    assert half.quantize(np.array(ends)).tolist() != ends
