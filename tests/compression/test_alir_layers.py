"""What alkaid alone traces wrongly: constants, halves to even, the larger of two related numbers,
choices by a bit that a number turns out not to have."""

from typing import Any

import numpy as np
import pytest
from alkaid.trace import FVArray, HWConfig, trace

from tests.compression.random_program import Program
from triggerforge.compression import quantized_model  # noqa: F401 (registers the layers)
from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding


def test_a_row_of_constants_between_rows_of_variables() -> None:
    low = np.array([[0.0, 0.0], [-4.0, -4.0], [3.0, 0.5]])
    high = np.array([[0.0, 0.0], [3.0, 3.0], [3.0, 0.5]])
    step = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 0.5]])
    x = FVArray.from_lhs(low, high, step, HWConfig(1, 1, -1))
    matrix = np.array([[1.0, -2.0], [0.5, 3.0]])
    program = trace(x, x @ matrix, keep_dead_inputs=True)
    values = np.array([[0.0, 0.0], [-3.0, 2.0], [3.0, 0.5]])
    found = program.predict(values.reshape(1, -1)).reshape(3, 2)
    np.testing.assert_array_equal(found, values @ matrix)


def test_a_product_whose_only_variables_are_pruned() -> None:
    low = np.array([[0.0, -4.0], [-4.0, -4.0]])
    high = np.array([[0.0, 3.0], [3.0, 3.0]])
    x = FVArray.from_lhs(low, high, np.ones((2, 2)), HWConfig(1, 1, -1))
    matrix = np.array([[1.0, -2.0], [0.0, 0.0]])
    program = trace(x, x @ matrix, keep_dead_inputs=True)
    values = np.array([[0.0, -3.0], [2.0, 1.0]])
    found = program.predict(values.reshape(1, -1)).reshape(2, 2)
    np.testing.assert_array_equal(found, values @ matrix)


def test_one_bit_of_a_shifted_number() -> None:
    """Its value is that of the number's highest bit before the shift."""
    x = FVArray.from_kif(*np.array([[0], [0], [4]]), HWConfig(1, 1, -1), 0, None)
    program = trace(x, (x * 4.0).quantize(0, 0, 1), keep_dead_inputs=True)
    values = np.arange(16)[:, None] / 16
    np.testing.assert_array_equal(program.predict(values), np.floor(values * 4 / 0.5) % 2 * 0.5)


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize(
    ("scale", "offset"),
    [
        (1.0, 0.0),
        (-1.0, 0.375),
        (0.0, 0.75),
        (0.0, -1.25),
        (2.0, 0.25),  # LSB/2 for the rounding makes the steps larger
        (8.0, 1.25),  # two values an LSB apart are both rounded to even
    ],
)
@pytest.mark.parametrize("text", ["ap_fixed<4,3>", "ap_ufixed<3,2>", "ap_fixed<2,1>"])
def test_quantisers_of_shifted_numbers_and_constants(
    text: str, scale: float, offset: float, rounding: Rounding, overflow: Overflow
) -> None:
    given = FixedFormat.parse(text)
    fmt = FixedFormat(given.width, given.integer, given.signed, rounding, overflow)
    x = FVArray.from_kif(*np.array([[1], [1], [3]]), HWConfig(1, 1, -1), 0, None)
    kif = [int(fmt.signed), fmt.integer - fmt.signed, fmt.fraction]
    y = (x * scale + offset).quantize(*kif, overflow_mode=str(overflow), round_mode=str(rounding))
    values = np.arange(-16, 16)[:, None] / 8
    got = trace(x, y, keep_dead_inputs=True).predict(values)
    np.testing.assert_array_equal(got, fmt.quantize(values * scale + offset))


@pytest.mark.parametrize("choose", [np.amax, np.amin])
@pytest.mark.parametrize(
    ("matrix", "bias"),
    [
        ([[1.0, 1.5], [2.0, 0.0]], [4.5, 0.0]),  # the first is always the larger
        ([[1.5, 1.0], [0.0, 2.0]], [0.0, 4.5]),
        ([[1.0, 1.0], [2.0, 2.0]], [0.5, 0.0]),
        ([[1.0, 1.5], [2.0, 0.0]], [1.0, 0.0]),  # sometimes
        ([[-1.0, -1.5], [-2.0, -1.0]], [0.0, 0.5]),
    ],
)
def test_the_larger_of_numbers_made_of_the_same_inputs(
    choose: Any, matrix: list[list[float]], bias: list[float]
) -> None:
    x = FVArray.from_kif(*np.array([[1, 1], [1, 0], [1, 1]]), HWConfig(1, 1, -1), 0, None)
    axes = np.meshgrid(np.arange(-4, 4) / 2, np.arange(-2, 2) / 2)
    values = np.stack(axes, axis=-1).reshape(-1, 2)
    program = trace(x, choose(x @ np.array(matrix) + bias, axis=-1, keepdims=True))
    expected = choose(values @ matrix + bias, axis=-1, keepdims=True)
    np.testing.assert_array_equal(program.predict(values), expected)


_PRODUCTS: dict[str, Any] = {
    "square of a sum": lambda x: (x + 0.625) * (x + 0.625),
    "less than a square": lambda x: (x + 0.625) * (x + 0.625) * -1.0 + 0.5,
    "square": lambda x: x * x,
    "product": lambda x: x * (x + 1.0),
    "cube": lambda x: x * x * x,
}


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("text", ["ap_fixed<2,1>", "ap_fixed<4,3>", "ap_ufixed<2,1>"])
@pytest.mark.parametrize("product", _PRODUCTS)
def test_quantisers_of_products(
    product: str, text: str, rounding: Rounding, overflow: Overflow
) -> None:
    """A square has no sign, which alkaid notices only after it has chosen by one."""
    given = FixedFormat.parse(text)
    fmt = FixedFormat(given.width, given.integer, given.signed, rounding, overflow)
    x = FVArray.from_kif(*np.array([[1], [1], [3]]), HWConfig(1, 1, -1), 0, None)
    kif = [int(fmt.signed), fmt.integer - fmt.signed, fmt.fraction]
    y = _PRODUCTS[product](x)
    y = y.quantize(*kif, overflow_mode=str(overflow), round_mode=str(rounding))
    values = np.arange(-16, 16)[:, None] / 8
    got = trace(x, y, keep_dead_inputs=True).predict(values)
    np.testing.assert_array_equal(got, fmt.quantize(_PRODUCTS[product](values)))


@pytest.mark.parametrize("seeds", [range(245, 345), range(400, 500)])
def test_random_programs(seeds: range) -> None:
    """All 128 events through all kinds of sums, products, choices and quantisers."""
    wrong = [seed for seed in seeds if (Program(seed).traced() != Program(seed).expected()).any()]
    assert not wrong
