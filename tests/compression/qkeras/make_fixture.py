"""Makes mlp.h5 and cnn.h5 with QKeras 0.9, and what QKeras gives for random inputs on the grid.

Run in the QKeras environment: .venv-qkeras/bin/python tests/compression/qkeras/make_fixture.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from qkeras import QActivation, QConv2D, QDense

HERE = Path(__file__).parent
BITS = "quantized_bits(5,1,alpha=1)"


def dense(units, name):
    return QDense(units, kernel_quantizer=BITS, bias_quantizer=BITS, name=name)


def save(name, model, shape, rng):
    for layer in model.layers:
        layer.set_weights([rng.normal(0, 0.6, w.shape) for w in layer.get_weights()])
    x = rng.integers(-128, 128, (500, *shape)).astype(np.float32) / 16
    model.save(HERE / f"{name}.h5", include_optimizer=False)
    np.savez_compressed(HERE / f"{name}.npz", x=x, y=model.predict(x, verbose=0))


def main():
    rng = np.random.default_rng(5)
    x = entry = tf.keras.Input((6,), name="x")
    x = dense(8, "fc1")(x)
    x = QActivation("quantized_relu(4,2)", name="relu1")(x)
    x = dense(8, "fc2")(x)
    x = QActivation("quantized_bits(6,2,1,alpha=1)", name="act2")(x)
    x = dense(3, "fc3")(x)
    save("mlp", tf.keras.Model(entry, x), (6,), rng)

    x = entry = tf.keras.Input((6, 6, 1), name="x")
    x = QConv2D(2, 3, kernel_quantizer=BITS, bias_quantizer=BITS, name="conv")(x)
    x = QActivation("quantized_relu(5,3)", name="relu")(x)
    x = tf.keras.layers.MaxPooling2D(2, name="pool")(x)
    x = tf.keras.layers.Flatten(name="flat")(x)
    x = dense(2, "fc")(x)
    x = tf.keras.layers.Dropout(0.1, name="drop")(x)
    save("cnn", tf.keras.Model(entry, x), (6, 6, 1), rng)


if __name__ == "__main__":
    main()
