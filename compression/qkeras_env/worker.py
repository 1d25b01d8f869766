"""Trains a QKeras model and converts it with hls4ml, in the QKeras environment.

`python worker.py JOB`: the folder JOB holds job.json, graph.json, weights.npz and data.npz; the
worker leaves model.h5 (the QKeras model), outputs.npz and, last, done.json. A killed worker goes on
from the last finished epoch.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent))

import hls4ml
import network
import numpy as np
import tensorflow as tf
from qkeras.utils import _add_supported_quantized_objects

Job = dict[str, Any]


def main(folder: Path) -> None:
    """Trains, converts, compares; writes done.json last."""
    job = json.loads((folder / "job.json").read_text())
    tf.keras.utils.set_random_seed(job["seed"])
    tf.config.experimental.enable_op_determinism()
    graph = json.loads((folder / "graph.json").read_text())
    with np.load(folder / "weights.npz") as file:
        weights = dict(file)
    with np.load(folder / "data.npz") as file:
        data = dict(file)
    model = train(network.build(graph, weights, job["bits"]), data, job, folder)
    model.save(folder / "model.h5", include_optimizer=False)
    logits = model.predict(data["x_test"], batch_size=4096, verbose=0)
    firmware = emulate(model, data["x_test"][: job["hls_events"]], job, folder / "hls4ml")
    np.savez(folder / "outputs.npz", logits=logits, hls4ml=firmware)
    versions = {"tensorflow": tf.__version__, "hls4ml": hls4ml.__version__}
    (folder / "done.json").write_text(json.dumps({"tools": versions}))


def train(model: Any, data: dict[str, Any], job: Job, folder: Path) -> Any:
    """The model of the epoch with the lowest validation loss."""
    model.compile(
        optimizer=tf.keras.optimizers.Adam(job["learning_rate"]),
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    best = folder / "best.weights.h5"
    model.fit(
        data["x_train"],
        data["y_train"],
        sample_weight=data["w_train"],
        validation_data=(data["x_validation"], data["y_validation"]),
        epochs=job["epochs"],
        batch_size=job["batch_size"],
        verbose=2,
        callbacks=[
            tf.keras.callbacks.BackupAndRestore(str(folder / "backup")),
            tf.keras.callbacks.ModelCheckpoint(
                str(best), monitor="val_loss", save_best_only=True, save_weights_only=True
            ),
        ],
    )
    model.load_weights(best)
    return model


def emulate(model: Any, x: Any, job: Job, folder: Path) -> Any:
    """What hls4ml's C simulation of the model gives for `x`."""
    config = hls4ml.utils.config_from_keras_model(
        model, granularity="name", default_precision="ap_fixed<24,12>", backend="Vitis"
    )
    config["LayerName"][model.input.name]["Precision"]["result"] = job["input_type"]
    hls_model = hls4ml.converters.convert_from_keras_model(
        model,
        hls_config=config,
        output_dir=str(folder),
        project_name="model",
        part=job["part"],
        clock_period=job["clock_ns"],
        io_type="io_parallel",
        backend="Vitis",
    )
    hls_model.compile()
    return np.asarray(hls_model.predict(np.ascontiguousarray(x, np.float32)))


if __name__ == "__main__":
    custom: dict[str, Any] = {}
    _add_supported_quantized_objects(custom)
    tf.keras.utils.get_custom_objects().update(custom)
    main(Path(sys.argv[1]))
