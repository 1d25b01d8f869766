"""Random programs of fixed-point operations, computed by numpy and traced by alkaid."""

from collections.abc import Callable
from typing import Any

import numpy as np
from alkaid.trace import FVArray, HWConfig, trace
from numpy.typing import NDArray

from triggerforge.fixedpoint import FixedFormat, Overflow, Rounding

Value = Any
Operation = Callable[[Value, Value], Value]
_KIF = np.array([[1, 0], [1, 2], [2, 1]])  # ap_fixed<4,2> and ap_ufixed<3,2>: 128 events are all


def all_inputs() -> NDArray[np.float64]:
    """Every event (128, 2)."""
    signed, unsigned = np.meshgrid(np.arange(-8, 8) / 4, np.arange(8) / 2)
    return np.stack([signed.ravel(), unsigned.ravel()], axis=1)


class Program:
    """Steps of a seed; each takes two earlier values, which may be one and the same."""

    def __init__(self, seed: int, steps: int = 6) -> None:
        random = np.random.default_rng(seed)
        self.steps = [self._step(random, 2 + number) for number in range(steps)]

    def _step(self, random: np.random.Generator, known: int) -> tuple[str, int, int, Any]:
        kind = str(random.choice(_KINDS))
        one, other = (int(v) for v in random.integers(0, known, 2))
        constant: Any = float(random.integers(-12, 13)) / 4
        if kind == "quantise":
            width = int(random.integers(1, 6))
            constant = FixedFormat(
                width,
                int(random.integers(-1, 5)),
                bool(random.integers(2)),
                Rounding(str(random.choice(list(Rounding)))),
                Overflow(str(random.choice(list(Overflow)))),
            )
        return kind, one, other, constant

    def expected(self) -> NDArray[np.float64]:
        """Of all events, by float64, in which every number here is exact."""
        return np.stack(self._run([*all_inputs().T], _by_numpy), axis=1)

    def traced(self) -> NDArray[np.float64]:
        """Of all events, by the fixed-point graph."""
        inputs = FVArray.from_kif(*_KIF, HWConfig(1, 1, -1), 0, None)
        values = self._run([inputs[0], inputs[1]], _by_alkaid)
        graph = trace(inputs, values, keep_dead_inputs=True)
        return np.asarray(graph.predict(all_inputs()))

    def _run(self, values: list[Value], compute: Callable[..., Value]) -> list[Value]:
        for kind, one, other, constant in self.steps:
            values.append(compute(kind, values[one], values[other], constant))
        return values[2:]


_KINDS = ("add", "multiply", "square", "larger", "relu", "scale", "quantise", "quantise")


def _by_numpy(kind: str, a: Value, b: Value, constant: Any) -> Value:
    results = {
        "add": lambda: a + b * constant,
        "multiply": lambda: a * b,
        "square": lambda: (a + constant) * (a + constant),
        "larger": lambda: np.maximum(a, b),
        "relu": lambda: np.maximum(a - constant, 0),
        "scale": lambda: a * 2.0 - constant,
        "quantise": lambda: constant.quantize(a),
    }
    return results[kind]()


def _by_alkaid(kind: str, a: Value, b: Value, constant: Any) -> Value:
    results = {
        "larger": lambda: a.max_of(b),
        "relu": lambda: (a - constant).relu(),
        "quantise": lambda: a.quantize(
            int(constant.signed),
            constant.integer - constant.signed,
            constant.fraction,
            overflow_mode=str(constant.overflow),
            round_mode=str(constant.rounding),
        ),
    }
    return results[kind]() if kind in results else _by_numpy(kind, a, b, constant)
