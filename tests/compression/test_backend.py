"""Keras and HGQ2 as this project uses them."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
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


SETTINGS = """
import warnings; warnings.simplefilter("ignore")
from triggerforge.compression.backend import hgq, keras
import jax.numpy as jnp
x = keras.Input((4, 4, 2))
y = hgq.layers.QConv2D(3, 2)(x)
config = keras.config
print(keras.backend.backend(), config.floatx(), config.dtype_policy().name, config.image_data_format(),
      config.epsilon(), y.shape, y.dtype, jnp.ones(2, "float64").dtype)
"""
FOREIGN = {"KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1", "JAX_ENABLE_X64": "1"}
"""variables of somebody else's account; with this keras.json"""
JSON = {
    "floatx": "float16",
    "image_data_format": "channels_first",
    "epsilon": 0.1,
    "backend": "torch",
}


def test_the_projects_settings_hold(tmp_path: Path) -> None:
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(JSON))
    environment = os.environ | FOREIGN | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    found = "jax float32 float32 channels_last 1e-07 (None, 3, 3, 3) float32 float32"
    assert done.stdout.split("\n")[-2] == found


def test_keras_that_was_imported_with_another_backend_is_named(tmp_path: Path) -> None:
    code = "import keras; import triggerforge.compression.backend"
    environment = os.environ | {"KERAS_BACKEND": "torch", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert "ConfigError: Keras was imported with its backend 'torch'" in done.stderr
