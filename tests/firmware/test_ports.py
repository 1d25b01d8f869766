"""The ports' words, bit by bit."""

import numpy as np
import pytest

from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.errors import ModelError
from triggerforge.firmware.ports import Port, ports


def test_first_element_is_in_the_lowest_bits() -> None:
    port = Port(size=3, width=4, fraction=1, signed=True)
    assert port.hex_words(np.array([[0.5, -0.5, 3.5]])) == ["7f1"]


def test_word_has_all_its_digits() -> None:
    port = Port(size=5, width=9, fraction=8, signed=True)
    assert port.hex_words(np.zeros((2, 5))) == ["0" * 12] * 2


def test_bits_outside_are_dropped() -> None:
    port = Port(size=1, width=4, fraction=0, signed=True)
    assert port.hex_words(np.array([[17.0], [-9.0]])) == ["1", "7"]


def test_widest_element_sets_the_width(quantized: QuantizedModel) -> None:
    into, out = ports(quantized.alir)
    assert into == Port(size=3, width=1 + 2 + 6, fraction=6, signed=True)
    assert out.size == 2
    formats = quantized.output_formats
    assert out.fraction == max(f.fraction for f in formats)


@pytest.mark.parametrize(
    ("integers", "fraction", "words"),
    [(60, 40, "1 to 64 are possible"), (-3, 3, "its outputs are constant")],
)
def test_impossible_width_is_refused(integers: int, fraction: int, words: str) -> None:
    class Graph:
        inp_kifs = np.array([[0], [integers], [fraction]])
        out_kifs = inp_kifs

    with pytest.raises(ModelError, match=words):
        ports(Graph())  # type: ignore[arg-type]
