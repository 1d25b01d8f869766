"""Fixed-point arithmetic against exact rational arithmetic, for every mode."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggerforge.errors import ConfigError, DataError
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding


def exact(value: float, fmt: FixedFormat) -> int:
    """The rules of UG1399 on rational numbers."""
    scaled = Fraction(value) * Fraction(2) ** fmt.fraction
    below = floor(scaled)
    rest = scaled - below
    half = Fraction(1, 2)
    up = {
        Rounding.TRN: False,
        Rounding.RND: rest >= half,
        Rounding.RND_CONV: rest > half or (rest == half and below % 2 == 1),
    }[fmt.rounding]
    integer = below + up
    low = -(2 ** (fmt.width - 1)) if fmt.signed else 0
    high = low + 2**fmt.width - 1
    if fmt.overflow is Overflow.WRAP:
        return (integer - low) % 2**fmt.width + low
    if fmt.overflow is Overflow.SAT_SYM and fmt.signed:
        low = -high
    return min(max(integer, low), high)


@given(
    value=st.floats(-1e6, 1e6, width=32) | st.integers(-4096, 4096).map(lambda i: i / 16),
    width=st.integers(1, 24),
    integer=st.integers(-4, 16),
    signed=st.booleans(),
    rounding=st.sampled_from(Rounding),
    overflow=st.sampled_from(Overflow),
)
def test_quantize_is_exact(
    value: float, width: int, integer: int, signed: bool, rounding: Rounding, overflow: Overflow
) -> None:
    fmt = FixedFormat(width, integer, signed, rounding, overflow)
    expected = exact(value, fmt)
    assert fmt.to_integers(np.array([value]))[0] == expected
    assert Fraction(fmt.quantize(np.array([value]))[0]) == expected * Fraction(2) ** -fmt.fraction


def test_rounding_just_below_a_half_is_down() -> None:
    fmt = FixedFormat(8, 8, rounding=Rounding.RND)
    assert fmt.to_integers(np.array([np.nextafter(0.5, 0)]))[0] == 0


@pytest.mark.parametrize("text", ["ap_fixed<8,3,RND,SAT>", "ap_ufixed<24,-2,TRN,WRAP>"])
def test_text_round_trip(text: str) -> None:
    assert str(FixedFormat.parse(text)) == text


def test_modes_default_to_those_of_ap_fixed() -> None:
    assert FixedFormat.parse("ap_fixed<16,6>") == FixedFormat(16, 6)


@pytest.mark.parametrize(
    "text", ["", "fixed<8,3>", "ap_fixed<8>", "ap_fixed<8,3,UP>", "ap_fixed<0,0>", "ap_fixed<99,3>"]
)
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        FixedFormat.parse(text)


@pytest.mark.parametrize("value", [2.0**60, -(2.0**60), 2.0**900 + 0.0, 2.0**53 + 2])
def test_large_numbers_wrap_exactly(value: float) -> None:
    expected = int(value) % 256
    got = FixedFormat(8, 8, overflow=Overflow.WRAP).to_integers(np.array([value]))[0]
    assert got == (expected - 256 if expected > 127 else expected)


@pytest.mark.parametrize(
    ("overflow", "values", "words"),
    [
        (Overflow.SAT, [0.0, np.nan, np.nan], ["2 of 3", "NaN", r"\[1\]"]),
        (Overflow.WRAP, [0.0, np.nan], ["1 of 2", "NaN", r"\[1\]"]),
        (Overflow.WRAP, [-np.inf, 1.0], ["1 of 2", "infinite", r"\[0\]"]),
    ],
)
def test_numbers_without_an_integer_are_refused(
    overflow: Overflow, values: list[float], words: list[str]
) -> None:
    with pytest.raises(DataError, match=".*".join(words)):
        FixedFormat(8, 3, overflow=overflow).to_integers(np.array(values))


def test_infinite_numbers_saturate() -> None:
    values = FixedFormat(4, 4, overflow=Overflow.SAT).to_integers(np.array([-np.inf, np.inf]))
    assert values.tolist() == [-8, 7]


def test_overflows_counts_after_rounding() -> None:
    fmt = FixedFormat(4, 4, rounding=Rounding.RND, overflow=Overflow.SAT)
    values = np.array([7.4, 7.5, -8.5, -8.6])
    assert fmt.overflows(values).tolist() == [False, True, False, True]
