"""What QKeras 0.9 itself gives at the ends of its inputs' range, for mlp.h5 and cnn.h5: ends.npz.

Every quantiser of the two models saturates there. Run in the QKeras environment:
.venv-qkeras/bin/python tests/compression/qkeras/make_ends.py
"""

from pathlib import Path

import numpy as np
from qkeras.utils import load_qmodel

HERE = Path(__file__).parent
LOW, HIGH, LSB = -8.0, 7.9375, 0.0625


def main():
    rng = np.random.default_rng(7)
    found = {}
    for name, shape in (("mlp", (6,)), ("cnn", (6, 6, 1))):
        model = load_qmodel(str(HERE / f"{name}.h5"), compile=False)
        parts = [
            rng.choice(values, (100, *shape))
            for values in ([LOW, HIGH], [LOW, 0, HIGH], [-LSB, LSB])
        ]
        x = np.concatenate([*parts, np.full((1, *shape), LOW), np.full((1, *shape), HIGH)])
        found |= {f"{name}_x": x.astype(np.float32), f"{name}_y": model.predict(x, verbose=0)}
    np.savez_compressed(HERE / "ends.npz", **found)


if __name__ == "__main__":
    main()
