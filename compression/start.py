"""The quantised network against the float one, layer by layer, before it is trained or taken.

All engines agree on a quantised network, however far it is off the float model that it was made
from. Here it is held to that model, on events.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.compression.backend import keras
from triggerforge.compression.ranges import evaluate
from triggerforge.errors import ModelError

_EVENTS = 4096  # every layer's numbers are held for as many events


@dataclass(frozen=True)
class LayerStart:
    """How far a layer's outputs are off those of the same layer in the float model."""

    name: str
    error: float
    """root mean square of the difference, over the float outputs' own spread between events"""
    dead: bool
    """the same numbers for all events, though the float model's differ"""
    zero: bool
    """… and all of them 0"""


@dataclass(frozen=True)
class Start:
    """The quantised network as it is before training, or as it was rounded."""

    events: int
    layers: tuple[LayerStart, ...]
    """those whose float outputs differ between events, in order"""
    output: str
    """the layer that gives the network's outputs"""

    @property
    def error(self) -> float:
        """That of the outputs; 0 where the float model itself gives the same for all events."""
        return next((layer.error for layer in self.layers if layer.name == self.output), 0.0)

    def require(self, limit: float | None, advice: str) -> None:
        """Raises ModelError, naming the layer, where one is dead, or the outputs are off by more.

        Dead is a layer that gives 0 for all events, and an output that never changes: an inner layer
        whose float numbers change by less than a step may well be constant. `limit` is the largest
        `error`; None only looks for dead layers.
        """
        for layer in self.layers:
            if layer.zero or (layer.dead and layer.name == self.output):
                what = "0" if layer.zero else "the same numbers"
                raise ModelError(
                    f"layer {layer.name!r} of the quantised network gives {what} for all "
                    f"{self.events} validation events, where the float model's differ: it is dead "
                    f"before any training; {advice}"
                )
        if limit is not None and self.error > limit:
            first = next(layer for layer in self.layers if layer.error > limit / 2)
            raise ModelError(
                f"the quantised network is off the float model by {100 * self.error:.3g} % of the "
                f"outputs' spread over {self.events} validation events, compress.max_start_error "
                f"allows {100 * limit:g} %; it begins in layer {first.name!r} "
                f"({100 * first.error:.3g} %): {advice}"
            )

    def to_dict(self) -> dict[str, Any]:
        """For the record."""
        return {
            "events": self.events,
            "error": self.error,
            "layers": {layer.name: layer.error for layer in self.layers},
        }


def compare(model: keras.Model, twin: keras.Model, x: NDArray[Any]) -> Start:
    """`model` against the float `twin` with the same names of layers, for events x (N, *shape)."""
    x = x[:_EVENTS]
    pairs = [
        (layer, twin.get_layer(layer.name))
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    expected = evaluate(twin, [other.output for _, other in pairs], x)
    found = evaluate(model, [layer.output for layer, _ in pairs], x)
    layers = (
        _judged(layer.name, mine, theirs)
        for (layer, _), mine, theirs in zip(pairs, found, expected, strict=True)
    )
    kept = tuple(layer for layer in layers if layer is not None)
    return Start(len(x), kept, output=model.outputs[0]._keras_history.operation.name)


def _judged(name: str, got: NDArray[Any], expected: NDArray[Any]) -> LayerStart | None:
    """None where the float outputs are the same for all events."""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    spread = float(np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2)))
    if spread == 0:
        return None
    error = float(np.sqrt(np.mean((got - expected) ** 2))) / spread
    return LayerStart(name, error, dead=bool((got == got[:1]).all()), zero=not got.any())
