"""Keras and HGQ2 as this project uses them."""

import inspect
from typing import Any, NoReturn

import pytest

from triggerforge.compression.backend import hgq, keras


def test_a_layer_is_made_without_reading_the_source_of_its_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(*_: Any) -> NoReturn:
        raise AssertionError("the source of a caller was read")

    monkeypatch.setattr(inspect, "getframeinfo", read)
    layer = hgq.layers.QDense(3, activation="relu", name="neurons")
    assert (layer.units, layer.name, layer.activation) == (3, "neurons", keras.activations.relu)
