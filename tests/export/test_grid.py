"""Intervals and steps: what the proof of exactness stands on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.formats import ElementFormats
from triggerforge.export.grid import ZERO_FRACTION, Grid, exact_type, fraction_bits, max_plus
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding


@given(st.integers(-(2**40), 2**40), st.integers(-20, 30))
def test_fraction_bits_is_the_fewest_that_hold_the_number(units: int, fraction: int) -> None:
    value = np.ldexp(float(units), -fraction)
    found = int(fraction_bits(np.array(value)))
    if units == 0:
        assert found == ZERO_FRACTION
        return
    assert np.ldexp(value, found) % 1 == 0
    assert np.ldexp(value, found - 1) % 1 != 0


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_max_plus_is_the_largest_sum_of_each_contraction(seed: int) -> None:
    random = np.random.default_rng(seed)
    a = random.integers(-20, 30, (3, 5))
    b = random.integers(-20, 30, (5, 4))
    a[random.random(a.shape) < 0.3] = ZERO_FRACTION
    b[random.random(b.shape) < 0.3] = ZERO_FRACTION
    dead = (a[:, :, None] == ZERO_FRACTION) | (b[None] == ZERO_FRACTION)
    expected = np.where(dead, ZERO_FRACTION, a[:, :, None] + b[None]).max(axis=1)
    # 73 bits below the largest the answer is an upper bound, which is on the safe side
    floor = a.max() + b.max() - 73
    expected = np.where(expected == ZERO_FRACTION, expected, np.maximum(expected, floor))
    np.testing.assert_array_equal(max_plus(a, b, np.matmul), expected)


@pytest.mark.parametrize(("bits", "dtype"), [(24, np.float32), (25, np.float64), (53, np.float64)])
def test_the_type_is_the_narrowest_that_is_exact(bits: int, dtype: type) -> None:
    assert exact_type(np.array(2.0**bits), np.array(0), "layer") is dtype


def test_more_than_53_bits_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperationError, match="phi_1: sums of 54.0 bits"):
        exact_type(np.array(2.0**54), np.array(0), "phi_1")


@settings(max_examples=200)
@given(
    st.sampled_from(Rounding),
    st.sampled_from(Overflow),
    st.booleans(),
    st.integers(1, 8),
    st.integers(-3, 5),
    st.integers(0, 2**32 - 1),
)
def test_formats_are_those_of_ap_fixed_and_their_grid_holds_every_value(
    rounding: Rounding, overflow: Overflow, signed: bool, width: int, fraction: int, seed: int
) -> None:
    integer = width - fraction - signed
    formats = ElementFormats(
        *(np.array([v]) for v in (int(signed), integer, fraction)), rounding, overflow
    )
    wanted = FixedFormat(width, integer + signed, signed, rounding, overflow)
    values = np.random.default_rng(seed).integers(-4000, 4000, (300, 1)) / 64.0
    got = formats.apply(values)
    np.testing.assert_array_equal(got, wanted.quantize(values))
    after = formats.after(Grid.of(values.min(0), values.max(0), np.array([6])))
    assert np.all((got >= after.low) & (got <= after.high))
    if np.any(got):
        assert np.all(np.ldexp(got, after.fraction) % 1 == 0)
