"""Small model files of every kind that triggerforge reads: what `fuzz_models` mutates.

Several networks, since a mutation finds only what a file has: dense and convolution layers, sums over
branches, batch normalisation, tables, softmax and output quantisers.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from triggerforge.compression.backend import hgq, keras
from triggerforge.compression.model_file import from_file
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.export.files import write_onnx
from triggerforge.export.quantized import quantized_onnx
from triggerforge.fixedpoint import FixedFormat

QKERAS_INPUTS = 3


def qkeras_contract() -> InputContract:
    """What a QKeras file of `write_bases` takes: it does not say so itself."""
    fmt = FixedFormat.parse("ap_fixed<6,3,RND,SAT>")
    features = tuple(InputFeature(f"x{i}", "", 0.0, 0, fmt) for i in range(QKERAS_INPUTS))
    return InputContract(features, (QKERAS_INPUTS,))


def write_bases(folder: Path) -> list[Path]:
    """Writes one file of every kind and network to `folder`; gives back their paths."""
    keras.utils.set_random_seed(1)
    models = {"dense": _dense(), "branches": _branches(), "conv": _conv(), "tables": _tables()}
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    models["dense"].save(folder / "dense.h5")
    _write_qkeras(folder / "qkeras.h5")
    for name in ("dense", "branches"):
        quantized = from_file(folder / f"{name}.keras")
        quantized.save(folder / f"{name}.tfq")
        write_onnx(quantized_onnx(quantized), folder / f"{name}.onnx")
    return sorted(folder.iterdir())


def _dense() -> keras.Model:
    layers = [hgq.layers.QDense(4, activation="relu"), hgq.layers.QDense(2, activation="softmax")]
    return keras.Sequential([keras.Input((3,)), *layers])


def _branches() -> keras.Model:
    entry = keras.Input((2, 3))
    left = hgq.layers.QEinsumDenseBatchnorm("bnc,cd->bnd", (2, 3), bias_axes="d")(entry)
    right = hgq.layers.QEinsumDense("bnc,cd->bnd", (2, 3), bias_axes="d", activation="relu")(entry)
    total = keras.layers.Flatten()(hgq.layers.QAdd()([left, right]))
    return keras.Model(entry, hgq.layers.QDense(2, enable_oq=True, activation="sigmoid")(total))


def _conv() -> keras.Model:
    entry = keras.Input((3, 3, 1))
    inner = hgq.layers.QConv2D(1, 2, activation="relu")(entry)
    pooled = keras.layers.Flatten()(keras.layers.MaxPooling2D(2)(inner))
    return keras.Model(entry, keras.layers.Softmax()(hgq.layers.QDense(2)(pooled)))


def _tables() -> keras.Model:
    entry = keras.Input((3,))
    given = hgq.config.QuantizerConfig("kif", "datalane", i0=1, f0=2)
    inner = hgq.layers.QDenseT(2, n_hl=1, d_hl=4, iq_conf=given)(entry)
    return keras.Model(entry, hgq.layers.QDenseT(2, n_hl=0, iq_conf=given)(inner))


def _write_qkeras(path: Path) -> None:
    """A file in the layout in which Keras 2 saves a QKeras model."""
    random = np.random.default_rng(1)
    bits = "quantized_bits(4,0,alpha=1)"
    sizes = {"fc1": (QKERAS_INPUTS, 4), "fc2": (4, 2)}
    records: list[dict[str, Any]] = [
        _record("InputLayer", "x", None, batch_input_shape=[None, QKERAS_INPUTS]),
        _record("QDense", "fc1", "x", units=4, kernel_quantizer=bits, bias_quantizer=bits),
        _record("QActivation", "act", "fc1", activation="quantized_relu(4,2)"),
        _record("QDense", "fc2", "act", units=2, kernel_quantizer=bits, bias_quantizer=bits),
        _record("Activation", "end", "fc2", activation="softmax"),
    ]
    config = {"layers": records, "input_layers": [["x", 0, 0]], "output_layers": [["end", 0, 0]]}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.14.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        for name, shape in sizes.items():
            group = file.create_group(f"model_weights/{name}/{name}")
            group["kernel:0"] = random.normal(0, 0.5, shape).astype(np.float32)
            group["bias:0"] = random.normal(0, 0.5, shape[-1:]).astype(np.float32)


def _record(kind: str, name: str, before: str | None, **config: Any) -> dict[str, Any]:
    calls = [] if before is None else [[[before, 0, 0, {}]]]
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": calls,
    }
