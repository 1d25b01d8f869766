"""Constants among the traced variables: windows that no event has lit."""

import numpy as np
from alkaid.trace import FVArray, HWConfig, trace

from triggerforge.compression import quantized_model  # noqa: F401 (registers the layers)


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
