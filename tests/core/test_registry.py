"""A registry refuses a second entry, and its error lists the choices."""

import pytest

from triggerforge.errors import RegistryError
from triggerforge.registry import Registry


def test_a_name_is_registered_once() -> None:
    engines: Registry[int] = Registry("engine")
    engines.register("alir")(1)
    with pytest.raises(RegistryError, match="'alir' is registered already"):
        engines.register("alir")(2)
    assert dict(engines) == {"alir": 1}


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    engines: Registry[int] = Registry("engine")
    engines.register("onnxruntime")(1)
    with pytest.raises(RegistryError, match="no engine 'onnxruntim'; did you mean 'onnxruntime'"):
        engines["onnxruntim"]
    assert "onnxruntim" not in engines
