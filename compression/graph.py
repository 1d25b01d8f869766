"""The neutral layer graph between torch and Keras: a few operations, in order, weights in numpy.

Shapes and axes leave the batch out; the order of the axes is torch's (channels first where the
module has them first).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One operation: `name` is unique, `inputs` name earlier layers, `shape` is the output's."""

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    path: str = ""
    """where the operation stands in the torch module, for messages"""
    weights: dict[str, Array] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """Layers in the order in which they are evaluated; the first is the input."""

    layers: dict[str, Layer] = field(default_factory=dict)
    output: str = ""

    def __iter__(self) -> Iterator[Layer]:
        return iter(list(self.layers.values()))

    def __getitem__(self, name: str) -> Layer:
        return self.layers[name]

    def add(self, layer: Layer) -> Layer:
        """Appends `layer`, under another name where its own is taken, and gives it back."""
        name, count = layer.name, 1
        while name in self.layers:
            name, count = f"{layer.name}_{count}", count + 1
        layer = replace(layer, name=name)
        self.layers[name] = layer
        return layer

    def consumers(self, name: str) -> list[Layer]:
        """The layers that read `name`; the output counts as none."""
        return [layer for layer in self if name in layer.inputs]

    def only_consumer(self, name: str) -> Layer | None:
        """The one layer that reads `name`, if there is one and `name` is not the output."""
        readers = self.consumers(name)
        return readers[0] if len(readers) == 1 and name != self.output else None

    def update(self, layer: Layer) -> None:
        """Puts `layer` in the place of the layer of its name."""
        self.layers[layer.name] = layer

    def bypass(self, name: str) -> None:
        """Takes out a layer of one input; its readers read that input."""
        source = self.layers.pop(name).inputs[0]
        for layer in self:
            if name in layer.inputs:
                inputs = tuple(source if i == name else i for i in layer.inputs)
                self.update(replace(layer, inputs=inputs))
        if self.output == name:
            self.output = source
